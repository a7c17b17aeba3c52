"""Attacks by gradients within a ball of given radius, and the random noise that they have to beat."""
