"""The science: networks under a parameter budget, data on the device, training, metrics and figures."""
