"""The lowering of stages to operations on packed vectors: the packing for latency.

A linear layer after the first is a matrix-vector product by diagonals (Halevi and Shoup, *Algorithms in HElib*, CRYPTO
2014) in its hybrid form for short outputs (Juvekar et al., *GAZELLE*, USENIX Security 2018, section 4), with baby and
giant steps for the rotations. The first layer needs no rotation of its inputs: the client gathers them (`InputLayout`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby
from typing import NamedTuple

import numpy as np

from he.circuit.packing import InputLayout, OutputLayout, Packing
from he.compiler.diagonals import Diagonals
from he.compiler.evaluate import activate_with_power
from he.compiler.gathering import Gathering, gather, taps_of
from he.compiler.linear import LinearMap, power_of_two, width_of
from he.compiler.ranges import Guard
from he.compiler.recorders import recorder_of
from he.compiler.stages import Stage
from he.program.program import Program
from he.program.recorder import Recorder
from he.program.relinearisation import relinearised_once
from he.ring.params import ParameterError
from he.ring.scheme import Scheme
from intnn.network.edges import INPUT
from intnn.values.value_object import ValueObject

Encode = Callable[[np.ndarray], np.ndarray]
Activate = Callable[[Recorder, int, Stage], int]

MAX_REQUEST_CIPHERTEXTS = 256  # the most for a number of images that the compiler chooses: some 200 MB

COPIES = 2  # of every logit at least: two that agree show a client a sound result

RADICES = (2, 4)


class Lowered(NamedTuple):
    """A program that has not been placed, and the layouts of its input and its output.

    Attributes:
        program: the program.
        input: the layout of its input.
        output: the layout of its output.
        entries: for every linear layer the number of a value that it reads; None for a layer that reads inputs.
        schedules: the schedule of every linear layer; none where nothing is rotated.
    """

    program: Program
    input: InputLayout
    output: OutputLayout
    entries: tuple[int | None, ...] = ()
    schedules: tuple[Schedule, ...] = ()


@dataclass(frozen=True)
class Schedule(ValueObject):
    """The arrangement of one linear layer's rotations.

    Attributes:
        baby: the number of baby steps, a power of two. They are rotations of the layer's input and may share its
            digits; giant steps cover the rest of the diagonals. The first layer has neither.
        radix: the number of copies that one step of a sum over copies adds, a power of two from 2. The `radix` - 1
            rotations of a step share their digits; a radix of 2 needs the fewest keys.
        chained: whether giant steps are done one after the other, on the sum so far. They need fewer keys, and cannot
            be done at the same time.

    Raises:
        ValueError: if `baby` or `radix` is no power of two, or `radix` is one.
    """

    baby: int
    radix: int
    chained: bool = False

    def with_fewer_keys(self, chained: bool, fewer: int) -> Schedule:
        """Return a schedule with so many times fewer baby steps, which have a key each."""
        return Schedule(max(1, self.baby // fewer), self.radix, chained)

    def __post_init__(self) -> None:
        if self.baby != power_of_two(self.baby) or self.radix != power_of_two(self.radix) or self.radix < 2:
            raise ValueError(f"`baby` and `radix` must be powers of two, `radix` at least 2, got {self}")


def schedules(stages: Sequence[Stage]) -> list[list[Schedule]]:
    """Return, for every linear layer, the schedules to choose from; the first is a good choice before any is priced."""
    choices = []
    for layer, widths in zip(_maps(stages), _widths_read(stages), strict=True):
        if not widths:
            choices.append([Schedule(1, radix) for radix in RADICES])
            continue
        diagonals = min(max(_periods(layer, widths)), width_of(layer))
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
    sketched: bool = False,
    encrypts: bool = False,
    encrypts_tables: bool = False,
) -> Lowered:
    """Record the stages as a program on packed vectors.

    Args:
        stages: the result of `he.compiler.stages.to_stages`.
        packing: the division of the slots; a row must be wide enough for every stage.
        encode: converts weights and biases to the numbers that slots hold.
        activate: records an activation.
        chosen: a schedule for every linear layer; None for the first ones of `schedules`.
        guards: the guards of layers, in order.
        sketched: whether plaintexts are left out, for a program that only shows what it costs.
        encrypts: whether the model's owner encrypts weights and biases.
        encrypts_tables: whether it encrypts the coefficients of activations, too.

    Returns:
        The program, which has not been placed, and its layouts.
    """
    chosen = tuple(chosen or [choices[0] for choices in schedules(stages)])

    def constants(number: float) -> np.ndarray:
        return encode(np.full(packing.slots, number))

    hidden = constants if encrypts_tables else None
    recorder = recorder_of(packing.slots, sketched=sketched, encrypts=encrypts, constants=hidden)
    left = list(chosen)
    gathering = Gathering.of(packing, _firsts(stages))
    values: list[int] = []  # of every layer, behind its activations
    entries: list[int | None] = []
    widths, sums, guarded = _widths_read(stages), [], {guard.layer: guard for guard in guards}
    for stage in stages:
        if not isinstance(stage, LinearMap):
            if (guard := guarded.get(len(values) - 1)) is None:
                values[-1] = activate(recorder, values[-1], stage)
                continue
            values[-1], power = activate_with_power(recorder, values[-1], stage, guard.power)
            width = width_of(_maps(stages)[guard.layer]) if widths[guard.layer] else gathering.layout.width
            total = recorder.scalar_dot([power], [1.0], 0.0)  # units of padding are 0
            sums.append(_sum_periods(recorder, total, packing.lanes, width * packing.lanes, 2))
            continue
        number, schedule = len(values), left.pop(0)
        if not widths[number]:
            entries.append(None)
            values.append(_first_layer(recorder, stage, gathering, schedule, encode))
        else:
            read = [values[layer] for layer in _reads(stage, number)]
            entries.append(read[-1])
            each = Diagonals.of_all(stage.of_sums, _periods(stage, widths[number]))
            met = _summed(recorder, read, stage, widths[number], packing, schedule)
            values.append(_next_layer(recorder, met, stage, each, packing, schedule, encode))
    last = _maps(stages)[-1]
    program = relinearised_once(recorder.program(packing.slots, [values[-1], *sums], len(sums)))
    width = width_of(last) if len(values) > 1 else gathering.layout.width
    return Lowered(program, gathering.layout, OutputLayout(packing, width, last.outputs), tuple(entries), chosen)


def sketches(
    stages: Sequence[Stage], packing: Packing, encode: Encode, encrypts: bool = False
) -> list[Callable[[Schedule], Program]]:
    """Return, for every linear layer, what records the layer alone by a schedule; its plaintexts are left out.

    Such a program shows what a schedule costs. A later layer's only input is the value that the layer reads.
    """
    gathering = Gathering.of(packing, _firsts(stages))

    def sketch_first(linear: LinearMap, schedule: Schedule) -> Program:
        recorder = recorder_of(packing.slots, sketched=True, encrypts=encrypts)
        return recorder.program(packing.slots, [_first_layer(recorder, linear, gathering, schedule, encode)])

    def sketch_next(linear: LinearMap, widths: Sequence[int], each: Sequence[Diagonals], schedule: Schedule) -> Program:
        recorder = recorder_of(packing.slots, sketched=True, encrypts=encrypts)
        read = _summed(recorder, [recorder.input(0)] * len(each), linear, widths, packing, schedule)
        return recorder.program(packing.slots, [_next_layer(recorder, read, linear, each, packing, schedule, encode)])

    return [
        partial(sketch_next, linear, widths, Diagonals.of_all(linear.of_sums, _periods(linear, widths)))
        if widths
        else partial(sketch_first, linear)
        for linear, widths in zip(_maps(stages), _widths_read(stages), strict=True)
    ]


def _periods(linear: LinearMap, widths: Sequence[int]) -> Sequence[int]:
    """Return the periods of the values that the diagonals of a map meet: those of sums, where it reads sums."""
    return [linear.period] if linear.period else widths


def _summed(
    recorder: Recorder,
    read: Sequence[int],
    linear: LinearMap,
    widths: Sequence[int],
    packing: Packing,
    schedule: Schedule,
) -> Sequence[int]:
    """Record the sums that a map reads of its only layer; of others, the values themselves."""
    if not linear.period:
        return read
    (value,), (period,) = read, widths
    while period > linear.period:  # the longest first: after every step, values repeat in what is the period then
        copies = min(schedule.radix, period // linear.period)
        period //= copies
        turned = [recorder.rotate(value, period * copy * packing.lanes) for copy in range(1, copies)]
        value = recorder.add([value, *turned])
    return [value]


def _maps(stages: Sequence[Stage]) -> list[LinearMap]:
    return [stage for stage in stages if isinstance(stage, LinearMap)]


def _reads(linear: LinearMap, number: int) -> tuple[int, ...]:
    """Return the layers that a layer reads; by default, the one before."""
    return linear.reads or (number - 1,)


def _firsts(stages: Sequence[Stage]) -> list[LinearMap]:
    """Return the layers that read the network's input."""
    return [linear for number, linear in enumerate(_maps(stages)) if _reads(linear, number) == (INPUT,)]


def _widths_read(stages: Sequence[Stage]) -> list[list[int]]:
    """Return, for every layer, the periods of the values that it reads; none for those that read the input."""
    maps = _maps(stages)
    first = max(map(width_of, _firsts(stages)))
    widths = [first if _reads(linear, i) == (INPUT,) else width_of(linear) for i, linear in enumerate(maps)]
    return [[widths[read] for read in _reads(linear, i) if read != INPUT] for i, linear in enumerate(maps)]


def _first_layer(
    recorder: Recorder, linear: LinearMap, gathering: Gathering, schedule: Schedule, encode: Encode
) -> int:
    layout, part = gathering.layout, gathering.parts[id(linear)]
    packing = layout.packing

    @cache
    def by_tap() -> np.ndarray:
        weights = np.zeros((layout.width, max(1, int(np.diff(linear.starts).max()))))
        weights[taps_of(linear)] = linear.weights
        return layout.by_tap(encode(weights), 0).reshape(len(part), -1)

    def factor(i: int) -> np.ndarray:
        return np.repeat(by_tap()[i], packing.lanes)

    operands = [recorder.plaintext_of(partial(factor, i)) for i in range(len(part))]
    value = recorder.plain_dot([recorder.input(i) for i in part], operands)
    value = _sum_periods(recorder, value, layout.width * packing.lanes, packing.row_length, schedule.radix)
    if packing.rows == 2 and not packing.split_rows:
        value = recorder.add([value, recorder.swap_rows(value)])
    return _add_bias(recorder, value, linear, packing, encode, layout.width)


def _next_layer(
    recorder: Recorder,
    read: Sequence[int],
    linear: LinearMap,
    each: Sequence[Diagonals],
    packing: Packing,
    schedule: Schedule,
    encode: Encode,
) -> int:
    """Record a linear map on vectors that are periodic; the result is periodic in its own width."""
    width, out_width = each[0].width, each[0].out_width
    count = min(width, out_width)
    baby = min(schedule.baby, count)

    def factor(diagonals: Diagonals, diagonal: int, giant: int) -> np.ndarray:
        # The giant rotation comes after the product, so the diagonal is rotated back before it.
        return packing.spread(np.roll(encode(diagonals.weights(diagonal)), giant))

    rotated = {(number, 0): value for number, value in enumerate(read)}
    present = [(number, diagonal) for number, diagonals in enumerate(each) for diagonal in diagonals.terms]
    giants: list[tuple[int, int]] = []
    least = min(0, *(diagonal for _, diagonal in present))

    def giant_of(at: tuple[int, int]) -> int:
        return (at[1] - least) // baby * baby

    for giant, group in groupby(sorted(present, key=giant_of), key=giant_of):
        values, operands = [], []
        for number, diagonal in group:
            step = diagonal - giant
            if (number, step) not in rotated:
                slots = step * packing.lanes % packing.row_length
                rotated[number, step] = recorder.rotate(read[number], slots)
            values.append(rotated[number, step])
            operands.append(recorder.plaintext_of(partial(factor, each[number], diagonal, giant)))
        giants.append((giant, recorder.plain_dot(values, operands)))
    if schedule.chained:
        result = _chained(recorder, giants, packing.lanes)
    else:
        result = recorder.add([recorder.rotate(inner, giant * packing.lanes) for giant, inner in giants])
    result = _sum_periods(recorder, result, out_width * packing.lanes, width * packing.lanes, schedule.radix)
    return _add_bias(recorder, result, linear, packing, encode, out_width)


def _chained(recorder: Recorder, giants: Sequence[tuple[int, int]], lanes: int) -> int:
    """Record the sum of values, each rotated by its own number of units, by Horner's rule: most steps are equal."""
    (ahead, total), *others = sorted(giants, reverse=True)
    for giant, inner in others:
        total = recorder.add([recorder.rotate(total, (ahead - giant) * lanes), inner])
        ahead = giant
    return recorder.rotate(total, ahead * lanes)


def _sum_periods(recorder: Recorder, value: int, period: int, extent: int, radix: int) -> int:
    """Record the sum of all periods within every `extent` slots; each period of the result holds it."""
    while period < extent:
        copies = min(radix, extent // period)
        value = recorder.add([value, *(recorder.rotate(value, period * copy) for copy in range(1, copies))])
        period *= copies
    return value


def _add_bias(recorder: Recorder, value: int, linear: LinearMap, packing: Packing, encode: Encode, width: int) -> int:
    bias = np.zeros(width)
    bias[: len(linear.bias)] = linear.bias
    return recorder.add_plain(value, recorder.plaintext_of(lambda: packing.spread(encode(bias))))


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
    widths = [width_of(linear) for linear in _maps(stages)]
    split = rows == 2 and images != 1
    if split or rows == 1:  # rows that are not split are copies
        widths.append(COPIES * widths[-1])
    widest = max(widths)
    if widest > row_length:
        raise ParameterError(f"a layer of {widest} units, as a power of two, is wider than a row of {row_length} slots")
    if images is None:
        # Lanes take the place of copies, which hold taps: doubling the lanes doubles the ciphertexts.
        firsts = _firsts(stages)
        taps, first = sum(gather(first).shape[1] for first in firsts), max(map(width_of, firsts))
        most = row_length // widest
        copies = -(-taps // MAX_REQUEST_CIPHERTEXTS)
        lanes = max(1, min(most, row_length // (first * power_of_two(copies))))
        return Packing(rows, row_length, lanes, split_rows=rows == 2)
    lanes = power_of_two(-(-images // rows) if split else images)
    if widest * lanes > row_length:
        raise ParameterError(
            f"{images} images side by side in a layer of {widest} units, as a power of two, are wider than a "
            f"row of {row_length} slots"
        )
    return Packing(rows, row_length, lanes, split)
