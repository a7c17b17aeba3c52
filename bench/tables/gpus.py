"""GPUs as their data sheets describe them, and the least time that work can take there (a roofline)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """What a data sheet says.

    Attributes:
        name: The GPU, as its driver calls it or a part of that.
        int8_tops: The multiplications and additions of bytes on tensor cores, 10**12 a second, of dense matrices.
        float_tflops: Operations in single precision, 10**12 a second; a multiplication with addition counts twice.
        gigabytes: The bandwidth of its memory, 10**9 bytes a second.
        source: Where the figures are from.
    """

    name: str
    int8_tops: float
    float_tflops: float
    gigabytes: float
    source: str

    def floor_us(self, nbytes: int, operations: int = 0) -> float:
        """The least microseconds: memory and tensor cores work at once, and neither faster than its peak."""
        return max(nbytes / self.gigabytes / 1e3, operations / self.int8_tops / 1e6)


GPUS = (
    Gpu("H100", 1978.9, 67, 3350, "NVIDIA H100 Tensor Core GPU data sheet, SXM: 3,958 TOPS with sparsity, 3.35 TB/s"),
    Gpu("H200", 1978.9, 67, 4800, "NVIDIA H200 Tensor Core GPU data sheet, SXM: 3,958 TOPS with sparsity, 4.8 TB/s"),
    Gpu("RTX 4090", 660.6, 82.6, 1008, "NVIDIA Ada GPU Architecture white paper, table of the GeForce RTX 4090"),
)


def gpu(name: str) -> Gpu | None:
    """The data sheet of a GPU by what its driver calls it; None where there is none here."""
    return next((known for known in GPUS if known.name in name), None)
