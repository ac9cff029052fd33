"""The stage `final-train`: the best configuration, trained to the end."""
