"""Data sets, and what happens to their images before training. Importing this does not need torch."""

from plaintext_models.data.datasets import DATA_VARIABLE, Dataset, load, names, validation_split
from plaintext_models.data.errors import DatasetError

__all__ = ["DATA_VARIABLE", "Dataset", "DatasetError", "load", "names", "validation_split"]
