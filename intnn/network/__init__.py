"""Networks as chains of layers: a `Graph` over floats, an `IntNetwork` over integers."""
