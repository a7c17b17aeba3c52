"""The lowering of stages to operations on packed vectors: the packing for latency.

A linear layer after the first is a matrix-vector product by diagonals (Halevi and Shoup, *Algorithms in HElib*, CRYPTO
2014) in its hybrid form for short outputs (Juvekar et al., *GAZELLE*, USENIX Security 2018, section 4), with baby and
giant steps for the rotations. The first layer needs no rotation of its inputs: the client gathers them (`InputLayout`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from he.circuit.packing import MAX_TAPS, InputLayout, OutputLayout, Packing
from he.compiler.activations import coefficients
from he.compiler.linear import LinearMap
from he.compiler.ranges import Guard
from he.compiler.stages import Stage
from he.program.operations import Plain
from he.program.program import Program
from he.program.recorder import Recorder
from he.ring.params import ParameterError
from he.ring.scheme import Scheme
from intnn import Activation
from intnn.values.value_object import ValueObject

Encode = Callable[[np.ndarray], np.ndarray]
Activate = Callable[[Recorder, int, Stage], int]

MAX_REQUEST_CIPHERTEXTS = 256  # the most for a number of images that the compiler chooses: some 200 MB

COPIES = 2  # of every logit at least: two that agree show a client a sound result

RADICES = (2, 4)

POLYNOMIALS = frozenset({"square", "polynomial"})


class Lowered(NamedTuple):
    """A program that has not been placed, and the layouts of its input and its output.

    Attributes:
        program: the program.
        input: the layout of its input.
        output: the layout of its output.
        entries: the numbers of the values that linear layers after the first read, one for each layer.
    """

    program: Program
    input: InputLayout
    output: OutputLayout
    entries: tuple[int, ...] = ()


@dataclass(frozen=True)
class Schedule(ValueObject):
    """The arrangement of one linear layer's rotations.

    Attributes:
        baby: the number of baby steps, a power of two. They are rotations of the layer's input and may share its
            digits; giant steps cover the rest of the diagonals. The first layer has neither.
        radix: the number of copies that one step of a sum over copies adds, a power of two from 2. The `radix` - 1
            rotations of a step share their digits; a radix of 2 needs the fewest keys.

    Raises:
        ValueError: if either is no power of two, or `radix` is one.
    """

    baby: int
    radix: int

    def __post_init__(self) -> None:
        if self.baby != power_of_two(self.baby) or self.radix != power_of_two(self.radix) or self.radix < 2:
            raise ValueError(f"`baby` and `radix` must be powers of two, `radix` at least 2, got {self}")


def schedules(stages: Sequence[Stage]) -> list[list[Schedule]]:
    """Return, for every linear layer, the schedules to choose from; the first is a good choice for unknown prices."""
    linear = [stage for stage in stages if isinstance(stage, LinearMap)]
    choices = [[Schedule(1, radix) for radix in RADICES]]
    for before, layer in pairwise(linear):
        diagonals = min(width_of(before), width_of(layer))
        even = 1 << (diagonals.bit_length() // 2)
        babies = sorted((1 << i for i in range(diagonals.bit_length())), key=lambda baby: abs(baby - even))
        choices.append([Schedule(baby, radix) for baby in babies for radix in RADICES])
    return choices


def lower(
    stages: Sequence[Stage],
    packing: Packing,
    encode: Encode,
    activate: Activate,
    chosen: Sequence[Schedule] | None = None,
    guards: Sequence[Guard] = (),
) -> Lowered:
    """Record the stages as a program on packed vectors.

    Args:
        stages: the result of `he.compiler.stages.to_stages`.
        packing: the division of the slots; a row must be wide enough for every stage.
        encode: converts weights and biases to the numbers that slots hold.
        activate: records an activation.
        chosen: a schedule for every linear layer; None for the first ones of `schedules`.
        guards: the guards of layers, in order.

    Returns:
        The program, which has not been placed, and its layouts.
    """
    recorder, (at_first, *later) = Recorder(), chosen or [choices[0] for choices in schedules(stages)]
    first = stages[0]
    assert isinstance(first, LinearMap)
    layout = InputLayout.of(packing, first.inputs, gather(first))
    value = _first_layer(recorder, first, layout, at_first, encode)
    width, outputs, entries, sums, number = layout.width, first.outputs, [], [], 0
    for stage in stages[1:]:
        if isinstance(stage, LinearMap):
            entries.append(value)
            value = _next_layer(recorder, value, Diagonals.of(stage, width), packing, later.pop(0), encode)
            width, outputs, number = width_of(stage), stage.outputs, number + 1
        else:
            value = activate(recorder, value, stage)
            sums += [_guard_sum(recorder, value, stage, guard, width, packing) for guard in guards if guard.layer == number]
    program = recorder.program(packing.slots, [value, *sums], len(sums))
    return Lowered(program, layout, OutputLayout(packing, width, outputs), tuple(entries))


def sketches(stages: Sequence[Stage], packing: Packing, encode: Encode) -> list[Callable[[Schedule], Program]]:
    """Return, for every linear layer, what records the layer alone by a schedule; its plaintexts are left out.

    Such a program shows what a schedule costs. A later layer's only input is the value that the layer reads.
    """
    first, *later = [stage for stage in stages if isinstance(stage, LinearMap)]
    layout = InputLayout.of(packing, first.inputs, gather(first))

    def sketch_first(schedule: Schedule) -> Program:
        recorder = _Sketch(packing.slots)
        return recorder.program(packing.slots, [_first_layer(recorder, first, layout, schedule, encode)])

    def sketch_next(diagonals: Diagonals, schedule: Schedule) -> Program:
        recorder = _Sketch(packing.slots)
        value = _next_layer(recorder, recorder.input(0), diagonals, packing, schedule, encode)
        return recorder.program(packing.slots, [value])

    widths = [layout.width, *map(width_of, later)]
    each = [Diagonals.of(linear, width) for linear, width in zip(later, widths, strict=False)]
    return [sketch_first, *(partial(sketch_next, diagonals) for diagonals in each)]


class _Sketch(Recorder):
    """Records operations; every plaintext is the same."""

    def __init__(self, slots: int) -> None:
        super().__init__([np.zeros(slots)])

    def plaintext_of(self, make: Callable[[], np.ndarray]) -> Plain:  # noqa: ARG002 - it is left out
        return Plain(0)


def _first_layer(recorder: Recorder, linear: LinearMap, layout: InputLayout, schedule: Schedule, encode: Encode) -> int:
    packing = layout.packing

    @cache
    def by_tap() -> np.ndarray:
        weights = np.zeros((layout.width, layout.taps))
        weights[_taps(linear)] = linear.weights
        return layout.by_tap(encode(weights), 0).reshape(layout.ciphertexts, -1)

    def factor(i: int) -> np.ndarray:
        return np.repeat(by_tap()[i], packing.lanes)

    operands = [recorder.plaintext_of(partial(factor, i)) for i in range(layout.ciphertexts)]
    value = recorder.plain_dot([recorder.input(i) for i in range(layout.ciphertexts)], operands)
    value = _sum_periods(recorder, value, layout.width * packing.lanes, packing.row_length, schedule.radix)
    if packing.rows == 2 and not packing.split_rows:
        value = recorder.add([value, recorder.swap_rows(value)])
    return _add_bias(recorder, value, linear, packing, encode)


def _next_layer(
    recorder: Recorder,
    value: int,
    diagonals: Diagonals,
    packing: Packing,
    schedule: Schedule,
    encode: Encode,
) -> int:
    """Record a linear map on a vector that is periodic; the result is periodic in its own width."""
    linear, width, out_width, terms = diagonals.linear, diagonals.width, diagonals.out_width, diagonals.terms
    count = min(width, out_width)
    baby = min(schedule.baby, count)

    def factor(diagonal: int, giant: int) -> np.ndarray:
        # The giant rotation comes after the product, so the diagonal is rotated back before it.
        return packing.spread(np.roll(encode(diagonals.weights(diagonal)), giant))

    rotated = {0: value}
    giants: list[int] = []
    for giant in range(0, count, baby):
        values, operands = [], []
        for step in range(min(baby, count - giant)):
            if giant + step not in terms:
                continue
            if step not in rotated:
                rotated[step] = recorder.rotate(value, step * packing.lanes)
            values.append(rotated[step])
            operands.append(recorder.plaintext_of(partial(factor, giant + step, giant)))
        if values:
            inner = recorder.plain_dot(values, operands)
            giants.append(recorder.rotate(inner, giant * packing.lanes))
    result = recorder.add(giants)
    result = _sum_periods(recorder, result, out_width * packing.lanes, width * packing.lanes, schedule.radix)
    return _add_bias(recorder, result, linear, packing, encode)


class Diagonals(NamedTuple):
    """A linear map by the diagonals of its matrix, which has a period of `width` columns and of `out_width` rows.

    Diagonal d meets the input rotated by d: at unit u it has the term of row u and column u + d.

    Attributes:
        linear: the linear map.
        width: the period of the input, a power of two.
        out_width: the period of the output, a power of two.
        unit: int64 [terms], the unit of every term on its diagonal.
        terms: the terms of every diagonal that has any.
    """

    linear: LinearMap
    width: int
    out_width: int
    unit: np.ndarray
    terms: dict[int, np.ndarray]

    @staticmethod
    def of(linear: LinearMap, width: int) -> Diagonals:
        """Return the diagonals of a map whose input has this period."""
        out_width = width_of(linear)
        diagonal = (linear.columns - linear.rows) % min(width, out_width)
        unit = (linear.columns - diagonal) % width if width >= out_width else linear.rows
        order = np.argsort(diagonal, kind="stable")
        present, begins = np.unique(diagonal[order], return_index=True)
        terms = dict(zip(present.tolist(), np.split(order, begins[1:]), strict=True))
        return Diagonals(linear, width, out_width, unit, terms)

    def weights(self, diagonal: int) -> np.ndarray:
        """Return the weights of a diagonal, float64 [units], where units are the longer of both periods."""
        at = self.terms[diagonal]
        weights = np.zeros(max(self.width, self.out_width))
        weights[self.unit[at]] = self.linear.weights[at]
        return weights


def _guard_sum(recorder: Recorder, value: int, stage: Stage, guard: Guard, width: int, packing: Packing) -> int:
    """Record a guard's sum over all units of a period, which every slot of a lane then holds."""
    assert isinstance(stage, Activation)
    unused = (width - guard.units) * coefficients(stage)[0]  # of units that are always 0
    total = recorder.scalar_dot([value], [1.0], (guard.units * guard.offset - unused) / width)
    return _sum_periods(recorder, total, packing.lanes, width * packing.lanes, 2)


def _sum_periods(recorder: Recorder, value: int, period: int, extent: int, radix: int) -> int:
    """Record the sum of all periods within every `extent` slots; each period of the result holds it."""
    while period < extent:
        copies = min(radix, extent // period)
        value = recorder.add([value, *(recorder.rotate(value, period * copy) for copy in range(1, copies))])
        period *= copies
    return value


def _add_bias(recorder: Recorder, value: int, linear: LinearMap, packing: Packing, encode: Encode) -> int:
    bias = np.zeros(width_of(linear))
    bias[: len(linear.bias)] = linear.bias
    return recorder.add_plain(value, recorder.plaintext_of(lambda: packing.spread(encode(bias))))


def gather(linear: LinearMap) -> np.ndarray:
    """Return the inputs that the architecture connects with each unit: int64 [width, taps], -1 for absent taps."""
    taps = max(1, int(np.diff(linear.starts).max()))
    if width_of(linear) * taps > MAX_TAPS:
        raise ParameterError(
            f"the first layer must read at most {MAX_TAPS:,} inputs, as many for each unit as for the unit with the "
            f"most, got {width_of(linear):,} x {taps:,}: make the layer or its input smaller"
        )
    gather = np.full((width_of(linear), taps), -1, dtype=np.int64)
    gather[_taps(linear)] = linear.columns
    return gather


def _taps(linear: LinearMap) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit of every term, and the number of the term among those of its unit."""
    return linear.rows, np.arange(len(linear.columns)) - linear.starts[linear.rows]


def width_of(linear: LinearMap) -> int:
    """Return the width of a period that holds the map's outputs: their number, rounded up to a power of two."""
    return power_of_two(linear.outputs)


def power_of_two(least: int) -> int:
    """Return the smallest power of two that is at least `least`."""
    return 1 << (least - 1).bit_length()


def activate_polynomial(recorder: Recorder, value: int, stage: Stage) -> int:
    """Record a square, or a polynomial as a sum of powers that are each computed at the least depth."""
    assert isinstance(stage, Activation)
    if stage.name == "square":
        return recorder.relinearise(recorder.multiply(value, value))
    powers = [value]
    for exponent in range(2, len(stage.coefficients)):
        half = exponent // 2
        product = recorder.multiply(powers[exponent - half - 1], powers[half - 1])
        powers.append(recorder.relinearise(product))
    constant, *rest = stage.coefficients
    return recorder.scalar_dot(powers[: len(rest)], rest, constant)


def choose_packing(scheme: Scheme, N: int, images: int | None, stages: Sequence[Stage]) -> Packing:
    """Return the smallest packing for so many images; two rows hold different images before lanes do.

    Args:
        scheme: BFV or CKKS.
        N: the ring degree.
        images: the least number of images; None for as many as a request of `MAX_REQUEST_CIPHERTEXTS` may hold.
        stages: the result of `he.compiler.stages.to_stages`.

    Raises:
        ParameterError: if a row is too short for a layer and its lanes.
    """
    rows, row_length = scheme.rows, N // 2
    widths = [width_of(stage) for stage in stages if isinstance(stage, LinearMap)]
    split = rows == 2 and images != 1
    if split or rows == 1:  # rows that are not split are copies
        widths.append(COPIES * widths[-1])
    widest = max(widths)
    if widest > row_length:
        raise ParameterError(f"a layer of {widest} units, as a power of two, is wider than a row of {row_length} slots")
    if images is None:
        # Lanes take the place of copies, which hold taps: doubling the lanes doubles the ciphertexts.
        first = stages[0]
        assert isinstance(first, LinearMap)
        taps = gather(first).shape[1]
        most = row_length // widest
        copies = -(-taps // MAX_REQUEST_CIPHERTEXTS)
        lanes = max(1, min(most, row_length // (width_of(first) * power_of_two(copies))))
        return Packing(rows, row_length, lanes, split_rows=rows == 2)
    lanes = power_of_two(-(-images // rows) if split else images)
    if widest * lanes > row_length:
        raise ParameterError(
            f"{images} images side by side in a layer of {widest} units, as a power of two, are wider than a "
            f"row of {row_length} slots"
        )
    return Packing(rows, row_length, lanes, split)
