"""Trained models: how each is made, the networks that come with the package, and a cache. Importing needs no torch."""

from plaintext_models.zoo.errors import ShippedNetworkError
from plaintext_models.zoo.manifest import Record
from plaintext_models.zoo.shipped import FOLDER, load, names, record

__all__ = ["FOLDER", "Record", "ShippedNetworkError", "load", "names", "record"]
