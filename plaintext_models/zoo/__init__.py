"""Trained models: how each is made, the networks that come with the package, and a cache. Importing needs no torch."""

from plaintext_models.zoo.errors import ShippedNetworkError
from plaintext_models.zoo.manifest import Record
from plaintext_models.zoo.recipe import Recipe
from plaintext_models.zoo.registry import RECIPES, of_kind
from plaintext_models.zoo.shipped import FOLDER, load, names, record

__all__ = ["FOLDER", "RECIPES", "Recipe", "Record", "ShippedNetworkError", "load", "names", "of_kind", "record"]
