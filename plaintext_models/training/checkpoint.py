"""Trainings on disk, one file each, written after every epoch: one that was stopped goes on to the same bits."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intnn.storage.document import write_atomically


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Store tensors and numbers behind their own SHA-256, whole or not at all."""
    content = io.BytesIO()
    torch.save(dict(state), content)
    write_atomically(path, hashlib.sha256(content.getvalue()).hexdigest().encode() + b"\n" + content.getvalue())


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` stored.

    Raises:
        ValueError: The file is damaged. The message names it; delete it to train anew.
    """
    digest, _, content = path.read_bytes().partition(b"\n")
    if digest != hashlib.sha256(content).hexdigest().encode():
        raise ValueError(f"{path} must hold the state of a trained model, got a damaged file; delete it to train anew")
    state: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
    return state


class Checkpoint:
    """A training's state between two epochs.

    Args:
        path: Its file; None keeps nothing.
        arguments: The numbers and tensors that decide what the training gives, its weights before it among them.
        parts: What has a state: the module, its optimiser, the schedule, and the generator of the hooks. Torch's own
            generator, from which layers draw, goes along.
    """

    def __init__(self, path: Path | None, arguments: Sequence[Tensor | float | None], **parts: Any) -> None:
        self._path, self._parts = path, parts
        self._arguments = "" if path is None else _digest(arguments)

    def resumed(self) -> list[tuple[float, float]]:
        """Put everything back to where the file left it; the loss and the score of all epochs so far.

        Raises:
            ValueError: The file is damaged, or belongs to another training.
        """
        if self._path is None or not self._path.is_file():
            return []
        state = read_state(self._path)
        if state.get("arguments") != self._arguments:
            raise ValueError(f"{self._path} must belong to this training, got another's; delete it")
        for name, part in self._parts.items():
            put = part.set_state if isinstance(part, torch.Generator) else part.load_state_dict
            put(state[name])
        torch.set_rng_state(state["torch"])
        return [tuple(record) for record in state["history"]]

    def keep(self, history: list[tuple[float, float]]) -> None:
        """Write everything, with the loss and the score of all epochs so far."""
        if self._path is None:
            return
        states = {
            name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
            for name, part in self._parts.items()
        }
        rest = {"arguments": self._arguments, "torch": torch.get_rng_state(), "history": history}
        write_state(self._path, {**states, **rest})


def _digest(arguments: Sequence[Tensor | float | None]) -> str:
    """The SHA-256 of numbers, and of tensors with their types and shapes."""
    digest = hashlib.sha256()
    for value in arguments:
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        else:
            digest.update(f"{value if value is None else float(value)!r}\n".encode())
    return digest.hexdigest()
