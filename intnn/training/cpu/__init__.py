"""A training step as one compiled call."""
