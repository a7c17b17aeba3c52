"""Attacks without the gradients of their victim: by queries, by other models, and on its training data."""
