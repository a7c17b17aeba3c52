"""Trainers whose owner refreshes the weights between steps."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from he.formats.messages import Kind, MessageError, message_digest
from he.parties.evaluation_keys import EvaluationKeys
from he.training.arithmetic import Matrix, Rows, read, written
from he.training.refreshed import checkpoint
from he.training.refreshed.messages import START, PackedWeights
from he.training.refreshed.plan import MOMENTUM, RefreshedPlanOf
from he.training.trainer import SampleTrainer
from intnn.storage.document import file_path, require_place


@dataclass(frozen=True, eq=False)
class EncryptedSamples:
    """All samples, block by block, in slots; slots without a sample hold zeros.

    Attributes:
        features: A row for every block, one ciphertext for every feature, the column of ones last, at the top level.
        targets: A row for every block, one ciphertext for two classes, at the top level.
    """

    features: Matrix
    targets: Rows


class RefreshedTrainer(SampleTrainer[RefreshedPlanOf], instead="keep the blocks, and give them to another trainer"):
    """Trains on encrypted samples with an owner's help: `NetworkTrainer`, or `LogisticTrainer`.

    Args:
        plan: The plan.
        evaluation_keys: As in `SampleTrainer`.
        threads: As in `SampleTrainer`.
    """

    def __init__(
        self, plan: RefreshedPlanOf, evaluation_keys: EvaluationKeys | bytes, threads: int | None = None
    ) -> None:
        super().__init__(plan, evaluation_keys, threads)
        self._weights: list[PackedWeights] = []  # the last two that were refreshed
        self._sent = b""  # the last message to the owner

    @property
    def steps(self) -> int:
        """How many steps have been made, and refreshed."""
        return self._weights[-1].step if self._weights else 0

    def receive(self, message: bytes) -> None:
        """Take fresh weights: the owner's first ones, or its answer to the last step. If refused, nothing has changed.

        Raises:
            MessageError: They are damaged, of another run or step, or no answer to the last step; or samples are
                missing.
            SealDataError: A residue is not below its prime.
            TypeError: They are no bytes.
        """
        given = PackedWeights.from_bytes(Kind.FRESH_WEIGHTS, message, self.plan)
        if self._weights and not self._sent:
            raise MessageError("no step has been made since the last weights, to which others could be the answer")
        before = message_digest(self._sent) if self._sent else START
        given.require_next(self._run()[0], self.steps + 1 if self._weights else 0, before)
        read(given.ciphertext, self.plan.fresh_form)
        self._weights, self._sent = [*self._weights[-1:], given], b""

    def step(self) -> bytes:
        """Make the next step, and return its weights for the owner to refresh, as a message; twice, it is the same.

        Raises:
            MessageError: Weights to begin with are missing, or all steps have been made.
        """
        if not self._weights or self.steps == self.plan.descent.steps:
            what = "its first weights, which `receive` takes" if not self._weights else "no more: all steps are made"
            raise MessageError(f"a step needs an answer of the owner: {what}")
        if not self._sent:
            blocks, (origin, _) = list(self._blocks.values()), self._run()
            samples = EncryptedSamples(
                Matrix.stacked([block.features for block in blocks]), [block.targets for block in blocks]
            )
            before, now = (read(self._weights[i].ciphertext, self.plan.fresh_form) for i in (0, -1))
            with self._arithmetic:
                worn = self._moved(now, before, self._descents(samples, now))
            last, ciphertext = message_digest(self._weights[-1].to_bytes()), written(worn, self.plan.worn_form)
            made = PackedWeights(Kind.WORN_WEIGHTS, origin, self.steps + 1, last, ciphertext)
            self._sent = made.to_bytes()
        return self._sent

    @abstractmethod
    def _descents(self, samples: EncryptedSamples, fresh: np.ndarray) -> np.ndarray:
        """Compute how the gradients at fresh weights, packed, move them: worn weights, uint64 [2, 1, N]."""

    def _moved(self, fresh: np.ndarray, before: np.ndarray, descents: np.ndarray) -> np.ndarray:
        """Return worn weights after a step: fresh ones, moved on as before by momentum, and by descents."""
        arithmetic = self._arithmetic
        lowered = [arithmetic.lowered(packed, MOMENTUM) for packed in (fresh, before)]
        now, last = self.plan.move_factors
        moved = arithmetic.rescale(arithmetic.combination(lowered, [now, -last]))
        return arithmetic.combination([moved, descents], [1, 1])

    def fit(
        self,
        refresh: Callable[[bytes], bytes],
        progress: Callable[[int, int, float], None] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> bytes:
        """Make the steps that are left, and return the last fresh weights, as a message.

        A run that was stopped, also by an exception of ``refresh`` or ``progress``, goes on behind its last whole step,
        with the bits of an undisturbed one: in the same trainer, or in another one with the same blocks and the
        checkpoint. What is lost is made again to the same bits, which the owner knows.

        Args:
            refresh: What takes a step's message to the owner, and returns its answer.
            progress: A function that is called after every step, with the number of steps made, the levels that the
                weights have again, and the seconds of the step, with its refresh.
            path: A checkpoint, written after every step, whole or not at all, and read if it is there.

        Raises:
            MessageError: Samples or the owner's first weights are missing, or an answer is none to the last step.
            SealDataError: A residue of an answer is not below its prime.
            StoredError: The checkpoint is damaged, or belongs to another run. It is not changed.
            OSError: Its folder does not exist, or it cannot be written.
        """
        _, run = self._run()
        if path is not None:
            place = file_path(path)
            require_place(place)
            if place.exists():
                saved = checkpoint.load(place, run, self.plan)
                if saved[-1].step > self.steps:
                    self._weights, self._sent = saved, b""
        while self.steps < self.plan.descent.steps:
            started = time.perf_counter()
            self.receive(refresh(self.step()))
            if path is not None:
                checkpoint.save(path, run, self._weights)
            if progress is not None:
                progress(self.steps, self.plan.levels, time.perf_counter() - started)
        return self._weights[-1].to_bytes()
