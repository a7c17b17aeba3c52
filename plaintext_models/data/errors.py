"""What goes wrong with data sets."""


class DatasetError(ValueError):
    """A data set is missing, damaged or contradicts itself; the message says which file and what to do."""
