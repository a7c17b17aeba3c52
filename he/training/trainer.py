"""The trainer's side: a head from encrypted samples, by ciphertexts and evaluation keys alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from he.engines.engine import thread_count
from he.engines.rns.value import Value
from he.formats import compact
from he.formats.messages import MessageError, message_digest
from he.parties.keys import EvaluationKeys
from he.training import checkpoint
from he.training.arithmetic import Arithmetic, read_keys, written
from he.training.block import Block
from he.training.encrypted_head import EncryptedHead
from he.training.origin import Origin
from he.training.plan import HeadPlan
from intnn.storage.document import file_path, require_place
from intnn.values.arrays import instance
from intnn.values.value_object import Unstorable

Columns = list[Value]  # what belongs to two classes each


@dataclass(frozen=True, eq=False)
class _Samples:
    """The ciphertexts of a block, one for every feature, those of targets, and what names the block."""

    features: list[Value]
    targets: Columns
    digest: str


class Trainer(Unstorable, instead="keep the blocks, and give them to another trainer"):
    """Trains a head on encrypted samples. It holds no secret, and learns sizes and nothing else.

    Args:
        plan: The plan.
        evaluation_keys: The owner's, or their bytes.
        threads: The threads to work on; by default one for each available processor.

    Attributes:
        samples: How many samples have come.
        steps: How many steps have been made.

    Raises:
        TypeError: An argument has another type.
        ValueError: ``threads`` is out of range.
        MessageError: The keys are damaged, or for another plan.
        SealDataError: The keys are not the plan's.
    """

    def __init__(self, plan: HeadPlan, evaluation_keys: EvaluationKeys | bytes, threads: int | None = None) -> None:
        self.plan = instance(plan, HeadPlan, "plan")
        keys = read_keys(evaluation_keys, plan)
        self._arithmetic, self._keys = Arithmetic(plan, keys, thread_count(threads)), keys.id
        self._origin: Origin | None = None
        self._blocks: dict[tuple[str, int], _Samples] = {}
        self._gradients: list[list[Columns]] = []
        self.samples = 0

    @property
    def steps(self) -> int:
        """How many steps have been made."""
        return len(self._gradients)

    def add(self, message: bytes) -> None:
        """Take a block of samples, as it travels. If it is refused, nothing has changed.

        Raises:
            MessageError: It is damaged, of another run, has come before, holds more samples than the plan has left, or
                training has begun.
            SealDataError: A residue is not below its prime.
            TypeError: It is no bytes.
        """
        block = Block.from_bytes(message, self.plan)
        expected = self._origin or Origin(self.plan.digest, block.origin.whitening, self._keys)
        expected.require(block.origin)
        place = block.owner, block.number
        if self._gradients:
            raise MessageError("training has begun: no block can be added; give all blocks to a new trainer")
        if place in self._blocks:
            raise MessageError(f"block {block.number} of owner {block.owner!r} has come before")
        if self.samples + block.samples > self.plan.samples:
            raise MessageError(
                f"the plan is for {self.plan.samples} samples, got {self.samples + block.samples}; plan for as many"
            )
        pairs = list(zip(block.ciphertexts, Block.forms(self.plan), strict=True))
        values = self._arithmetic.each(lambda pair: Value(compact.read(*pair).residues), pairs)
        features, own = values[: self.plan.features], values[self.plan.features :]
        self._blocks[place] = _Samples(features, own, message_digest(message))
        self._origin, self.samples = expected, self.samples + block.samples

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
            StoredError: The checkpoint is damaged, belongs to another run, or would be larger than 8 GB. It is not
                changed.
            OSError: Its folder does not exist, or it cannot be written.
        """
        plan = self.plan
        if self.samples != plan.samples or self._origin is None:
            raise MessageError(f"the plan is for {plan.samples} samples, got {self.samples}; add the missing blocks")
        blocks = "".join(sorted(block.digest for block in self._blocks.values()))
        run = {**vars(self._origin), "samples": hashlib.sha256(blocks.encode()).hexdigest()}
        if path is not None:
            place = file_path(path)
            require_place(place)
            if place.exists():
                self._gradients = max(self._gradients, checkpoint.load(place, run, plan), key=len)
        while self.steps < plan.descent.steps:
            self._gradients.append(self._gradient())
            if path is not None:
                checkpoint.save(path, run, self._gradients)
            if progress is not None:
                progress(self.steps, plan.scales[self.steps - 1].level - 1)
        form = EncryptedHead.form(plan)
        parts = [written(value, form) for row in self._head() for value in row]
        return EncryptedHead(self._origin, tuple(parts))

    def _gradient(self) -> list[Columns]:
        """Make a step: the totals of the features' products with targets, or with residuals."""
        blocks = list(self._blocks.values())
        if self._gradients:
            head, factor = self._head(), self.plan.scales[self.steps - 1].targets
            factors = self._arithmetic.each(lambda block: self._residuals(block, head, factor), blocks)
        else:
            factors = [block.targets for block in blocks]

        def row(feature: int) -> Columns:
            sums = self._arithmetic.products([block.features[feature] for block in blocks], factors)
            return [self._arithmetic.total(self._arithmetic.rescale(value)) for value in sums]

        return self._arithmetic.each(row, range(self.plan.features))

    def _residuals(self, block: _Samples, head: Sequence[Columns], factor: int) -> Columns:
        """Return targets less what a head makes of samples; targets are multiplied by a factor for their scale."""
        outputs = self._arithmetic.products(block.features, head)
        return [
            self._arithmetic.combination([self._arithmetic.lowered(target, output.level), output], [factor, -1])
            for target, output in zip(block.targets, outputs, strict=True)
        ]

    def _head(self) -> list[Columns]:
        """Return the head after the last step, as a combination of all gradients, at the last one's level."""
        scales, last = self.plan.scales[self.steps - 1], self._gradients[-1]
        if not scales.earlier:
            return last

        def row(feature: int) -> Columns:
            columns = zip(*(gradient[feature] for gradient in self._gradients), strict=True)
            return [self._combined(values, scales.level, scales.earlier) for values in columns]

        return self._arithmetic.each(row, range(self.plan.features))

    def _combined(self, values: Sequence[Value], level: int, factors: Sequence[int]) -> Value:
        """Return the last of these values, plus the others at a level, times their factors and rescaled."""
        lowered = [self._arithmetic.lowered(value, level) for value in values[:-1]]
        return self._arithmetic.add(self._arithmetic.combination(lowered, factors), values[-1])
