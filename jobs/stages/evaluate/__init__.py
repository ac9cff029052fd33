"""The stage `evaluate`: the test images, read once."""
