"""Adversarial attacks, in two families that `families` lists: within a ball, and for the shortest perturbation."""
