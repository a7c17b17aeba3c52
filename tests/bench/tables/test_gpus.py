import pytest

from bench.tables.gpus import GPUS, gpu


def test_the_slower_of_memory_and_tensor_cores_is_the_floor():
    h100 = gpu("NVIDIA H100 80GB HBM3")
    assert h100.floor_us(3_350_000) == pytest.approx(1)
    assert h100.floor_us(3_350_000, 2 * 1_978_900_000) == pytest.approx(2)


def test_names_are_told_apart():
    assert [gpu(f"NVIDIA {known.name}") for known in GPUS] == list(GPUS)
    assert gpu("NVIDIA GeForce GTX 1080") is None
    assert all(known.source for known in GPUS)
