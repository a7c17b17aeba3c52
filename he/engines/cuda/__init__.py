"""The engine that evaluates circuits on a GPU."""
