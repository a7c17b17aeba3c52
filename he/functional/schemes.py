"""The schemes of functional encryption by their names."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from he.functional.instance import SCHEMES, SchemeName
from he.functional.scheme import Scheme


def scheme(name: SchemeName) -> Scheme:
    """The scheme of a name; its module, and the libraries that it needs, are imported by the first call.

    Args:
        name: "rlwe", "ddh" or "pads".

    Raises:
        ValueError: There is no such scheme.
        ImportError: A library that it needs is not there.
    """
    if name not in SCHEMES:
        raise ValueError(f'`name` must be "rlwe", "ddh" or "pads", got {name!r}')
    return _imported(name)


@cache
def _imported(name: SchemeName) -> Scheme:
    found: Scheme = import_module(f"he.functional.{name}.scheme").SCHEME
    return found
