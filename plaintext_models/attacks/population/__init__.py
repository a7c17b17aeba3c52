"""Perturbations for many images at once, and images of nothing at all."""
