"""Attacks that change few elements of an image."""
