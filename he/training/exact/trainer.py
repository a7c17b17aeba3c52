"""The trainer's side of exact training: gradients on ciphertexts, modulo every prime of the plan."""

from __future__ import annotations

from he.engines.engine import thread_count
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, message_digest, unchanging
from he.parties.evaluation_keys import EvaluationKeys
from he.training.arithmetic import read_keys
from he.training.exact.messages import opened, sealed
from he.training.exact.plan import ExactPlan
from he.training.exact.step import ExactStep
from intnn.values.arrays import instance
from intnn.values.value_object import Unstorable


class ExactTrainer(Unstorable, instead="keep the messages, and give them to another trainer"):
    """Computes gradients on encrypted samples at encrypted weights. It holds no secret, and learns sizes alone.

    Between two steps it keeps nothing but the samples: another trainer with the same samples answers likewise.

    Args:
        plan: The plan.
        evaluation_keys: The owner's, or their bytes.
        threads: The threads to work on; by default one for each available processor.

    Raises:
        TypeError: An argument has another type.
        ValueError: ``threads`` is out of range.
        MessageError: The keys are damaged, or for another plan.
        SealDataError: The keys are not the plan's.
    """

    def __init__(self, plan: ExactPlan, evaluation_keys: EvaluationKeys | bytes, threads: int | None = None) -> None:
        self.plan = instance(plan, ExactPlan, "plan")
        keys = read_keys(evaluation_keys, plan)
        self._keys, self._workers = keys.id, Workers(thread_count(threads))
        buffers = Buffers()
        encoders = [Encoder.of(parameters) for parameters in plan.each]
        read = SwitchingKeys.read(encoders[0], keys.data, plan.key_elements)  # none depends on a plaintext modulus
        self._steps = {
            t: ExactStep(plan, encoder, read, self._workers, buffers)
            for t, encoder in zip(plan.moduli, encoders, strict=True)
        }  # fmt: skip
        self._ready: set[int] = set()

    def add(self, message: bytes) -> None:
        """Take the samples modulo one prime, as they travel. If they are refused, nothing has changed.

        Raises:
            MessageError: They are damaged, of another run, modulo no prime of the plan, or have come before.
            SealDataError: A residue is not below its prime.
            TypeError: They are no bytes.
        """
        squares, form = self.plan.squares, Form.fresh(self.plan.parameters)
        count = squares.features + squares.classes
        parts, fields = opened(Kind.EXACT_SAMPLES, self.plan, self._keys, message, form, count, "modulus")
        t = fields["modulus"]
        if type(t) is not int or t not in self._steps or t in self._ready:
            raise MessageError(f"samples must be modulo each prime of the plan once, got {t!r:.80}")
        step = self._steps[t]
        read = [step.read(part) for part in parts]
        with self._workers:
            step.set_samples(read[: squares.features], read[squares.features :])
        self._ready.add(t)

    def answer(self, message: bytes) -> bytes:
        """Compute the gradients at the weights of a message, as messages.

        Raises:
            MessageError: The message is damaged or of another run, or samples are missing.
            SealDataError: A residue is not below its prime.
            TypeError: It is no bytes.
        """
        if missing := sorted(set(self._steps) - self._ready):
            raise MessageError(f"samples must have come modulo every prime of the plan, {missing} are missing")
        form, count = Form.fresh(self.plan.parameters), 2 * len(self._steps)
        message = unchanging(Kind.EXACT_WEIGHTS, message, count * form.bytes)
        parts, _ = opened(Kind.EXACT_WEIGHTS, self.plan, self._keys, message, form, count)
        with self._workers:
            made = [
                step.gradients(step.read(first), step.read(second))
                for step, first, second in zip(self._steps.values(), parts[::2], parts[1::2], strict=True)
            ]
        return sealed(Kind.EXACT_GRADIENTS, self.plan, self._keys, made, asked=message_digest(message))
