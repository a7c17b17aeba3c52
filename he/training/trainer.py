"""The trainer's side: a head from encrypted samples, by ciphertexts and evaluation keys alone."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic

import numpy as np

from he.engines.engine import thread_count
from he.formats.messages import Kind, MessageError, message_digest, unchanging
from he.parties.evaluation_keys import EvaluationKeys
from he.training import checkpoint
from he.training.arithmetic import Arithmetic, Matrix, read, read_keys, written
from he.training.block import Block
from he.training.encrypted_head import EncryptedHead
from he.training.frame import PlanOf
from he.training.origin import Origin
from he.training.plan import HeadPlan
from intnn.storage.document import file_path, require_place
from intnn.values.arrays import instance
from intnn.values.value_object import Unstorable


@dataclass(frozen=True, eq=False)
class _Samples:
    """The ciphertexts of a block, a row with one for every feature, those of targets, and what names the block."""

    features: Matrix
    targets: list[np.ndarray]
    digest: str


class SampleTrainer(Unstorable, ABC, Generic[PlanOf], instead="keep the blocks, and give them to another trainer"):
    """Who holds encrypted samples for a plan of any kind: `Trainer` for heads, `NetworkTrainer` for networks.

    It holds no secret, and learns sizes and nothing else.

    Args:
        plan: The plan.
        evaluation_keys: The owner's, or their bytes.
        threads: The threads to work on; by default one for each available processor.
        engine: "rns"; or "cuda", for products and totals on the GPU in use, where samples stay. The bytes are the same.

    Attributes:
        samples: How many samples have come.
        steps: How many steps have been made.

    Raises:
        TypeError: An argument has another type.
        ValueError: ``threads`` is out of range, or there is no engine of this name.
        DeviceError: There is no GPU for "cuda", or it has too little free memory.
        MessageError: The keys are damaged, or for another plan.
        SealDataError: The keys are not the plan's.
    """

    plans: ClassVar[type]  # what a plan must be

    def __init__(
        self, plan: PlanOf, evaluation_keys: EvaluationKeys | bytes, threads: int | None = None, *, engine: str = "rns"
    ) -> None:
        self.plan: PlanOf = instance(plan, self.plans, "plan")
        keys = read_keys(evaluation_keys, plan)
        self._threads = thread_count(threads)
        self._arithmetic, self._keys = Arithmetic(plan, keys, self._threads, engine), keys.id
        self._origin: Origin | None = None
        self._blocks: dict[tuple[str, int], _Samples] = {}
        self.samples = 0

    @property
    @abstractmethod
    def steps(self) -> int:
        """How many steps have been made."""

    def add(self, message: bytes) -> None:
        """Take a block of samples, as it travels. If it is refused, nothing has changed.

        Raises:
            MessageError: It is damaged, of another run, has come before, holds more samples than the plan has left, or
                training has begun.
            SealDataError: A residue is not below its prime.
            TypeError: It is no bytes.
        """
        forms = self.plan.block_forms
        message = unchanging(Kind.TRAINING_BLOCK, message, sum(form.bytes for form in forms))
        block = Block.from_bytes(message, self.plan, self._threads)
        expected = self._origin or Origin(self.plan.digest, block.origin.whitening, self._keys)
        expected.require(block.origin)
        place = block.owner, block.number
        if self.steps:
            raise MessageError("training has begun: no block can be added; give all blocks to a new trainer")
        if place in self._blocks:
            raise MessageError(
                f"block {block.number} of owner {block.owner!r} has come before; owners must have names of their own"
            )
        if self.samples + block.samples > self.plan.samples:
            raise MessageError(
                f"the plan is for {self.plan.samples} samples, got {self.samples + block.samples}; plan for as many"
            )
        count, arithmetic = self.plan.features, self._arithmetic
        targets = list(zip(block.ciphertexts[count:], forms[count:], strict=True))
        with arithmetic:
            features = arithmetic.samples(block.ciphertexts[:count], forms[0], count)
            own = arithmetic.each(lambda target: read(*target), targets)
        self._blocks[place] = _Samples(features, own, message_digest(message))
        self._origin, self.samples = expected, self.samples + block.samples

    def _run(self) -> tuple[Origin, dict[str, str]]:
        """Return what run this is, and what names it on disk, once all samples are there.

        Raises:
            MessageError: Other samples have come than the plan's.
        """
        if self.samples != self.plan.samples or self._origin is None:
            raise MessageError(
                f"the plan is for {self.plan.samples} samples, got {self.samples}; add the missing blocks"
            )
        blocks = "".join(sorted(block.digest for block in self._blocks.values()))
        return self._origin, {**vars(self._origin), "samples": hashlib.sha256(blocks.encode()).hexdigest()}


class Trainer(SampleTrainer[HeadPlan], instead="keep the blocks, and give them to another trainer"):
    """Trains a head on encrypted samples: see `SampleTrainer`.

    Args:
        plan: The plan of the head.
        evaluation_keys: As in `SampleTrainer`.
        threads: As in `SampleTrainer`.
        engine: As in `SampleTrainer`.
    """

    plans = HeadPlan

    def __init__(
        self,
        plan: HeadPlan,
        evaluation_keys: EvaluationKeys | bytes,
        threads: int | None = None,
        *,
        engine: str = "rns",
    ) -> None:
        super().__init__(plan, evaluation_keys, threads, engine=engine)
        self._gradients: list[list[np.ndarray]] = []  # packed

    @property
    def steps(self) -> int:
        """How many steps have been made."""
        return len(self._gradients)

    def fit(
        self,
        progress: Callable[[int, int], None] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> EncryptedHead:
        """Make the steps that are left, and return the head.

        A run that was stopped, also by an exception of ``progress``, goes on behind its last whole step, with the bits
        of an undisturbed one: in the same trainer, or in another one with the same blocks and the checkpoint.

        Args:
            progress: A function that is called after every step, with the number of steps made, and of levels left.
            path: A checkpoint, written after every step, whole or not at all, and read if it is there.

        Raises:
            MessageError: Other samples have come than the plan's.
            StoredError: The checkpoint is damaged, or belongs to another run. It is not changed.
            OSError: Its folder does not exist, or it cannot be written.
        """
        plan, (origin, run) = self.plan, self._run()
        if path is not None:
            place = file_path(path)
            require_place(place)
            if place.exists():
                self._gradients = max(self._gradients, checkpoint.load(place, run, plan), key=len)
        while self.steps < plan.descent.steps:
            with self._arithmetic:
                self._gradients.append(self._gradient())
            if path is not None:
                checkpoint.save(path, run, self._gradients)
            if progress is not None:
                progress(self.steps, plan.scales[self.steps - 1].level - 1)
        form = EncryptedHead.form(plan)
        return EncryptedHead(origin, tuple(written(packed, form) for packed in self._head()))

    def _gradient(self) -> list[np.ndarray]:
        """Make a step: the totals of the features' products with targets, or with residuals; packed."""
        blocks, count = list(self._blocks.values()), self.plan.weights
        samples = Matrix.stacked([block.features for block in blocks])
        residuals = self._residuals(samples, blocks) if self._gradients else [block.targets for block in blocks]
        return self._arithmetic.product_totals(samples.transposed, residuals, count)

    def _residuals(self, samples: Matrix, blocks: Sequence[_Samples]) -> list[list[np.ndarray]]:
        """Return targets less what the head makes of samples; targets are multiplied by a factor for their scale."""
        arithmetic, scales = self._arithmetic, self.plan.scales[self.steps - 1]
        outputs = arithmetic.products_with(samples, self._head(), self.plan.pairs)

        def residual(target: np.ndarray, output: np.ndarray) -> np.ndarray:
            own = arithmetic.combination([arithmetic.lowered(target, scales.level - 1)], [scales.targets])
            return arithmetic.combination([arithmetic.rescale(own), output], [1, -1])

        return [[residual(target, next(outputs)) for target in block.targets] for block in blocks]

    def _head(self) -> list[np.ndarray]:
        """Return the head after the last step, packed, as a combination of all gradients, at the last one's level."""
        arithmetic, scales = self._arithmetic, self.plan.scales[self.steps - 1]
        *earlier, last = self._gradients
        if not earlier:
            return last

        def combined(values: Sequence[np.ndarray], newest: np.ndarray) -> np.ndarray:
            lowered = [arithmetic.lowered(value, scales.level) for value in values]
            return arithmetic.combination(
                [arithmetic.rescale(arithmetic.combination(lowered, scales.earlier)), newest], [1, 1]
            )

        return [combined(values, newest) for *values, newest in zip(*earlier, last, strict=True)]
