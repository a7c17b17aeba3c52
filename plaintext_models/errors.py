"""What goes wrong with files that come from outside."""


class DatasetError(ValueError):
    """A data set is missing, damaged or contradicts itself; the message says which file and what to do."""


class ShippedNetworkError(ValueError):
    """A stored network is unknown, or not the file that its manifest records."""
