"""The stage `evaluate`, the only one that reads the test images."""
