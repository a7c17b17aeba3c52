"""What goes wrong with stored networks."""


class ShippedNetworkError(ValueError):
    """A stored network is unknown, or not the file that its manifest records."""
