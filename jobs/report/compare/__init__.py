"""Several studies of one data set beside each other. Nothing here imports torch."""
