"""Training in integers alone."""
