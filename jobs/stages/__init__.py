"""The stages in order: prepare, sweep, final training, evaluation."""
