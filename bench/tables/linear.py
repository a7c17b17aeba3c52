"""What A says, the article that retells arXiv:1412.6572."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.tables.published import Published

PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "A2": Published(
            "FGSM on a shallow softmax network",
            "MNIST, radius 0.25: an error of 99.9 %",
            "A",
        ),
    }
)
