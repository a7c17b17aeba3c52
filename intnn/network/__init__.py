"""Chains of nodes: over floats a `Graph`, over integers an `IntNetwork`."""
