"""Names of a package that are loaded when they are asked for, so that nobody waits for what is not needed."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def late(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__` (PEP 562), which loads a name from its home and keeps it.

    Args:
        package: The package, by its `__name__`.
        homes: Where each name is: "module:name", or the name of a module that is offered itself.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, own = homes[name].partition(":")
        home = importlib.import_module(module)
        value = getattr(home, own) if own else home
        setattr(sys.modules[package], name, value)
        return value

    return get
