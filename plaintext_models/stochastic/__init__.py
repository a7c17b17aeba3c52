"""Layers that draw at random with every forward."""
