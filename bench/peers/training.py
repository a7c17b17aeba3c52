"""A step of stochastic gradient descent in other libraries, in float32, on the networks that `bench training` times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench.peers.inference import blas_limit
from bench.peers.missing import UnavailableError
from intnn.training.ops import numpy_ as operations
from intnn.training.plan import Block, Plan

Step = Callable[[], Any]  # one step on one batch; returns its loss
RATE = 0.01


def torch_sgd(plan: Plan, x: np.ndarray, labels: np.ndarray, threads: int, momentum: float = 0.0) -> Step:
    """A step in torch, run eagerly, with `torch.optim.SGD`."""
    try:
        import torch
    except ImportError:
        raise UnavailableError("torch is not installed") from None
    modules: list[Any] = []
    for block in plan.blocks:
        if _is_dense(block):
            modules += [torch.nn.Flatten(), torch.nn.Linear(block.fan_in, block.outputs)]
        else:
            modules.append(
                torch.nn.Conv2d(block.channels, block.outputs, block.window, block.stride, padding=block.padding)
            )
        if block.activation is not None:
            modules.append(torch.nn.ReLU())
        if block.pool > 1:
            modules.append(torch.nn.AvgPool2d(block.pool))
    model = torch.nn.Sequential(*modules)
    optimiser = torch.optim.SGD(model.parameters(), RATE, momentum=momentum)
    loss = torch.nn.CrossEntropyLoss()
    images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    targets = torch.from_numpy(labels)

    def step() -> Any:
        torch.set_num_threads(threads)
        optimiser.zero_grad()
        value = loss(model(images), targets)
        value.backward()
        optimiser.step()
        return value.detach()

    return step


def torch_momentum(plan: Plan, x: np.ndarray, labels: np.ndarray, threads: int) -> Step:
    """The same step with the momentum of ours, 7/8."""
    return torch_sgd(plan, x, labels, threads, momentum=0.875)


def numpy_sgd(plan: Plan, x: np.ndarray, labels: np.ndarray, threads: int) -> Step:
    """A step in numpy: matrix products are BLAS's, patches are strided views."""
    rng, batch = np.random.default_rng(0), len(labels)
    weights = [_normal(rng, block) for block in plan.blocks]
    biases = [np.zeros(block.outputs, np.float32) for block in plan.blocks]
    targets, limit = np.eye(plan.classes, dtype=np.float32)[labels], blas_limit(threads)

    def forward(values: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        seen, sums = [], []
        for block, weight, bias in zip(plan.blocks, weights, biases, strict=True):
            seen.append(operations.patches(values, block.window, block.stride, block.padding))
            z = seen[-1].reshape(-1, block.fan_in) @ weight.T + bias
            sums.append(z.reshape(batch, block.rows, block.cols, -1))
            values = np.maximum(sums[-1], 0)
            if block.pool > 1:
                values = operations.sum_pool(values, block.pool) / np.float32(block.pool**2)
        return seen, sums, sums[-1].reshape(batch, -1)

    def step() -> np.ndarray:
        with limit():
            seen, sums, logits = forward(x)
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            loss = -np.log((shares * targets).sum(axis=1)).mean()
            d = ((shares - targets) / np.float32(batch)).reshape(sums[-1].shape)
            for i in reversed(range(len(plan.blocks))):
                block = plan.blocks[i]
                if block.activation is not None:
                    if block.pool > 1:
                        d = operations.spread(d, block.rows, block.cols, block.pool) / np.float32(block.pool**2)
                    d = d * (sums[i] > 0)
                flat = d.reshape(-1, block.outputs)
                gradients = flat.T @ seen[i].reshape(-1, block.fan_in), flat.sum(axis=0)
                if i:
                    d = (flat @ weights[i]).reshape(seen[i].shape)
                    shape = (batch, block.height, block.width, block.channels)
                    d = operations.fold(d, shape, block.window, block.stride, block.padding)
                weights[i] -= np.float32(RATE) * gradients[0]
                biases[i] -= np.float32(RATE) * gradients[1]
        return loss

    return step


PEERS: Mapping[str, Callable[[Plan, np.ndarray, np.ndarray, int], Step]] = {
    "torch float32 SGD": torch_sgd,
    "torch float32 SGD, momentum": torch_momentum,
    "numpy float32 SGD": numpy_sgd,
}


def _is_dense(block: Block) -> bool:
    return (block.height, block.width) == block.window and not block.padding


def _normal(rng: np.random.Generator, block: Block) -> np.ndarray:
    return rng.normal(0, np.sqrt(2 / block.fan_in), (block.outputs, block.fan_in)).astype(np.float32)
