"""A training step on a GPU."""
