"""Attacks that look for the shortest perturbation."""
