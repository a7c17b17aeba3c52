"""The product of bytes in cuBLAS, called through torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any


def int8_product(size: int) -> Callable[[], Any] | None:
    """One product of two random int8 [size, size], with int32 sums, on the GPU; None without torch or its CUDA."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    generator = torch.Generator("cuda").manual_seed(0)
    a, b = (
        torch.randint(-128, 128, (size, size), dtype=torch.int8, device="cuda", generator=generator) for _ in range(2)
    )
    # The transpose is a view: both operands are contiguous along the common axis, as ours are.
    return lambda: torch._int_mm(a, b.t())
