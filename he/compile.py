"""From a network to a circuit: stages become packed products, tables become polynomials, and parameters are chosen.

A linear layer after the first is a matrix-vector product by diagonals (Halevi and Shoup, *Algorithms in HElib*, CRYPTO
2014) in its hybrid form for short outputs (Juvekar et al., *GAZELLE*, USENIX Security 2018, section 4), with baby and
giant steps for the rotations. The first layer needs no rotation of its inputs: the client gathers them (`InputLayout`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from he.circuit import Circuit, Interface
from he.levels import place_bfv, place_ckks
from he.linear import LinearMap, Stage, stages
from he.noise import CkksError, CkksErrorAlgebra
from he.packing import InputLayout, OutputLayout, Packing
from he.params import (
    MAX_MODULUS_BITS_128,
    MAX_PRIME_BITS,
    MIN_PRIME_BITS,
    PLAIN_MODULUS,
    ParameterError,
    Parameters,
    Scheme,
    Security,
)
from he.polynomial import TablePolynomial, plan_table
from he.program import Multiply, PlainDot, Program, Recorder, Relinearise, ScalarDot, arguments, run
from intnn import Activation, Graph, IntNetwork, LutActivation

#: Ring degrees that the compiler tries, cheapest first. Smaller ones hold no useful depth at 128 bits.
RING_DEGREES = (4096, 8192, 16384, 32768)

#: At insecure parameters, for tests, rings may be as small as they like.
INSECURE_RING_DEGREES = (1024, 2048, *RING_DEGREES)

MAX_REQUEST_CIPHERTEXTS = 256  # where the compiler is free to choose, a request stays below some 200 MB
MAX_PRIMES = 16  # data primes: more than 128-bit security admits at any ring; 2^-960 is still a float64
SCALE_ROOM_BITS = 2  # by so much SEAL wants a modulus to be longer than a scale
MIN_SCALE_BITS = 22  # below this CKKS's rounding drowns the weights of a network

Build = Callable[[Packing], tuple[Program, InputLayout, OutputLayout]]


def compile_exact(network: IntNetwork, *, images: int | None = 1, security: Security = "128") -> Circuit:
    """Compile an integer network for BFV; the decrypted logits equal `network.logits` bit for bit.

    Args:
        network: every value before a table and every logit must lie within (-t/2, t/2), t = 65537.
        images: how many images one evaluation serves at least, rounded up to what the slots hold evenly; None for as
            many as fit the slots of the smallest ring, with a request of at most 256 ciphertexts.
        security: `"128"`, or `"insecure"` for tests.

    Raises:
        ParameterError: if no supported parameter set fits, with the numbers of every set that was tried.
        ValueError: if `images` is not positive.
    """
    _require_options(images, security)
    plan = _exact_stages(network)
    tables = {id(s): table_polynomial(s) for s in plan if isinstance(s, LutActivation)}

    def build(packing: Packing) -> tuple[Program, InputLayout, OutputLayout]:
        def activate(recorder: Recorder, value: int, stage: Stage) -> int:
            return tables[id(stage)].evaluate(recorder, value)

        def encode(weights: np.ndarray) -> np.ndarray:
            return _centred(weights.astype(np.int64))

        return _build(plan, packing, encode, activate)

    reasons: list[str] = [
        _describe(table, len(s.lut.table)) for s in plan if isinstance(s, LutActivation) for table in [tables[id(s)]]
    ]
    refusals: list[str] = []
    for N in RING_DEGREES if security == "128" else INSECURE_RING_DEGREES:
        try:
            program, input_layout, output_layout = build(_packing("bfv", N, images, plan))
            placed, parameters, budget = _fit_bfv(program, N, security)
        except ParameterError as refusal:
            refusals.append(str(refusal))
            continue
        reasons += [f"not {refusal}" for refusal in refusals]
        domain = network.input_domain
        interface = _interface(
            parameters,
            network.input_shape,
            (domain.lo, domain.hi),
            placed,
            input_layout,
            output_layout,
            tolerance=0.0,
            output_scale=1.0,
        )
        return Circuit(interface, placed, budget, tuple(reasons))
    raise ParameterError("the network fits no parameter set: " + "; ".join(refusals))


def compile_approximate(
    graph: Graph,
    *,
    images: int | None = 1,
    input_range: tuple[float, float] = (0.0, 1.0),
    max_error: float = 0.1,
    security: Security = "128",
) -> Circuit:
    """Compile a float network with polynomial activations for CKKS.

    Args:
        graph: activations must be `square` or `polynomial`.
        images: as for `compile_exact`.
        input_range: values that an input may take; the client refuses others.
        max_error: largest error of a logit, as bounded for the worst input, that the parameters may cause.
        security: `"128"`, or `"insecure"` for tests.

    Raises:
        ParameterError: if no supported parameter set fits, with the numbers of every set that was tried.
        ValueError: if an activation is no polynomial, or an argument is out of range.
    """
    _require_options(images, security)
    low, high = map(float, input_range)
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"`input_range` must be two finite numbers in order, got {input_range}")
    if not max_error > 0:
        raise ValueError(f"`max_error` must be positive, got {max_error}")
    plan = stages(graph.input_shape, graph.nodes)
    for stage in plan:
        if isinstance(stage, LutActivation) or (isinstance(stage, Activation) and stage.name not in _POLYNOMIALS):
            raise ValueError(f"a CKKS network's activations must be {sorted(_POLYNOMIALS)}, got {stage}")
    _require_no_constant(plan, math.inf)

    refusals: list[str] = []
    for N in RING_DEGREES if security == "128" else INSECURE_RING_DEGREES:
        try:
            program, input_layout, output_layout = _build(
                plan, _packing("ckks", N, images, plan), lambda weights: weights, _activate_polynomial
            )
            placed, parameters, result = _fit_ckks(program, N, (low, high), max_error, security)
        except ParameterError as refusal:
            refusals.append(str(refusal))
            continue
        reasons = [f"{_depth(program)} levels of depth need as many rescaling primes", *(f"not {r}" for r in refusals)]
        interface = _interface(
            parameters,
            graph.input_shape,
            (low, high),
            placed,
            input_layout,
            output_layout,
            tolerance=2 * result.bound,
            output_scale=result.scale,
        )
        return Circuit(interface, placed, result.bound, tuple(reasons))
    raise ParameterError("the network fits no parameter set: " + "; ".join(refusals))


def table_polynomial(activation: LutActivation) -> TablePolynomial:
    """The plan that evaluates a table over Z_t, t = 65537."""
    domain = activation.lut.domain
    return plan_table(range(domain.lo, domain.hi + 1), activation.lut.table.tolist(), PLAIN_MODULUS)


# ---------------------------------------------------------------------------------------------- stages to operations


def _build(
    plan: Sequence[Stage],
    packing: Packing,
    encode: Callable[[np.ndarray], np.ndarray],
    activate: Callable[[Recorder, int, Stage], int],
) -> tuple[Program, InputLayout, OutputLayout]:
    """Record the stages."""
    recorder = Recorder()
    first = plan[0]
    assert isinstance(first, LinearMap)
    layout = InputLayout(packing, first.weight.shape[1], _gather(first))
    value = _first_layer(recorder, first, layout, encode)
    width, outputs = layout.width, len(first.bias)
    for stage in plan[1:]:
        if isinstance(stage, LinearMap):
            value = _next_layer(recorder, value, width, stage, packing, encode)
            width, outputs = _width(stage), len(stage.bias)
        else:
            value = activate(recorder, value, stage)
    return recorder.program(packing.slots, value), layout, OutputLayout(packing, width, outputs)


def _first_layer(
    recorder: Recorder, linear: LinearMap, layout: InputLayout, encode: Callable[[np.ndarray], np.ndarray]
) -> int:
    packing = layout.packing
    rows = np.arange(len(linear.bias))[:, None]
    weights = np.zeros(layout.gather.shape)
    weights[: len(linear.bias)] = np.where(
        layout.gather[: len(rows)] >= 0, linear.weight[rows, layout.gather[: len(rows)]], 0
    )
    by_tap = layout.by_tap(encode(weights), 0).reshape(layout.ciphertexts, -1)
    operands = [recorder.plaintext(np.repeat(w, packing.lanes)) for w in by_tap]
    value = recorder.plain_dot([recorder.input(i) for i in range(layout.ciphertexts)], operands)
    value = _sum_periods(recorder, value, layout.width * packing.lanes, packing.row_length)
    if packing.rows == 2 and not packing.split_rows:
        value = recorder.add([value, recorder.swap_rows(value)])
    return _add_bias(recorder, value, linear, packing, encode)


def _next_layer(
    recorder: Recorder,
    value: int,
    width: int,
    linear: LinearMap,
    packing: Packing,
    encode: Callable[[np.ndarray], np.ndarray],
) -> int:
    """`linear` applied to a vector that is periodic in `width` units; the result is periodic in its own width."""
    outputs, inputs = linear.weight.shape
    out_width = _width(linear)
    weight, support = np.zeros((out_width, width)), np.zeros((out_width, width), dtype=bool)
    weight[:outputs, :inputs], support[:outputs, :inputs] = linear.weight, linear.support
    unit = np.arange(max(width, out_width))
    diagonals = min(width, out_width)
    baby = 1 << (diagonals.bit_length() // 2)
    rotated = [value]
    giants: list[int] = []
    for giant in range(0, diagonals, baby):
        terms: list[tuple[int, np.ndarray]] = []
        for step in range(min(baby, diagonals - giant)):
            place = unit % out_width, (unit + giant + step) % width
            if support[place].any():
                while len(rotated) <= step:
                    rotated.append(recorder.rotate(value, len(rotated) * packing.lanes))
                # The giant rotation comes after the product, so the diagonal is rotated back before it.
                terms.append((rotated[step], np.roll(encode(weight[place]), giant)))
        if terms:
            operands = [recorder.plaintext(packing.spread(diagonal)) for _, diagonal in terms]
            inner = recorder.plain_dot([v for v, _ in terms], operands)
            giants.append(recorder.rotate(inner, giant * packing.lanes))
    result = recorder.add(giants)
    result = _sum_periods(recorder, result, out_width * packing.lanes, width * packing.lanes)
    return _add_bias(recorder, result, linear, packing, encode)


def _sum_periods(recorder: Recorder, value: int, period: int, extent: int) -> int:
    """Sum the periods within every `extent` slots into each of them."""
    while period < extent:
        value = recorder.add([value, recorder.rotate(value, period)])
        period *= 2
    return value


def _add_bias(
    recorder: Recorder, value: int, linear: LinearMap, packing: Packing, encode: Callable[[np.ndarray], np.ndarray]
) -> int:
    bias = np.zeros(_width(linear))
    bias[: len(linear.bias)] = linear.bias
    return recorder.add_plain(value, recorder.plaintext(packing.spread(encode(bias))))


def _gather(linear: LinearMap) -> np.ndarray:
    """For every unit the inputs that the architecture connects it with, -1 where there are fewer."""
    taps = max(1, int(linear.support.sum(axis=1).max()))
    gather = np.full((_width(linear), taps), -1, dtype=np.int64)
    for unit, connected in enumerate(linear.support):
        inputs = np.flatnonzero(connected)
        gather[unit, : len(inputs)] = inputs
    return gather


def _width(linear: LinearMap) -> int:
    return _power_of_two(len(linear.bias))


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


_POLYNOMIALS = frozenset({"square", "polynomial"})


def _activate_polynomial(recorder: Recorder, value: int, stage: Stage) -> int:
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


# ---------------------------------------------------------------------------------------------- choosing parameters


def _packing(scheme: Scheme, N: int, images: int | None, plan: Sequence[Stage]) -> Packing:
    """The smallest packing for so many images; two rows are used for different images before lanes are."""
    rows, row_length = (2 if scheme == "bfv" else 1), N // 2
    widths = [_width(stage) for stage in plan if isinstance(stage, LinearMap)]
    if scheme == "ckks":
        widths.append(2 * widths[-1])  # without a noise budget, two copies that agree are the sign of a sound result
    widest = max(widths)
    if widest > row_length:
        raise ParameterError(
            f"N={N}: a layer of {widest} units, as a power of two, is wider than a row of {row_length} slots"
        )
    if images is None:
        # Lanes take the place of copies, which spread taps: each doubling of the lanes doubles the ciphertexts.
        first = plan[0]
        assert isinstance(first, LinearMap)
        taps = _gather(first).shape[1]
        most = row_length // widest
        copies = -(-taps // MAX_REQUEST_CIPHERTEXTS)
        lanes = max(1, min(most, row_length // (_width(first) * _power_of_two(copies))))
        return Packing(rows, row_length, lanes, split_rows=rows == 2)
    split = rows == 2 and images > 1
    lanes = _power_of_two(-(-images // rows) if split else images)
    if widest * lanes > row_length:
        raise ParameterError(
            f"N={N}: {images} images side by side in a layer of {widest} units, as a power of two, are wider than a "
            f"row of {row_length} slots"
        )
    return Packing(rows, row_length, lanes, split)


def _fit_bfv(program: Program, N: int, security: Security) -> tuple[Program, Parameters, float]:
    """The fewest and then the smallest primes whose noise bound leaves at least one bit of budget."""

    def attempt(count: int, bits: int) -> tuple[Program, Parameters, float]:
        chain = (bits,) * count + (MAX_PRIME_BITS,)
        secure = security == "128" and sum(chain) <= MAX_MODULUS_BITS_128[N]
        parameters = Parameters("bfv", N, chain, PLAIN_MODULUS, security="128" if secure else "insecure")
        placed, noise = place_bfv(program, parameters)
        return placed, parameters, noise.budget_bits

    fits = (count for count in range(1, MAX_PRIMES + 1) if attempt(count, MAX_PRIME_BITS)[2] >= 1)
    count = next(fits, None)
    if count is None:
        raise ParameterError(f"N={N}: its noise needs more than {MAX_PRIMES * MAX_PRIME_BITS} bits of modulus")
    bits = MAX_PRIME_BITS
    while bits > 2 * MIN_PRIME_BITS and attempt(count, bits - 1)[2] >= 1:
        bits -= 1
    placed, parameters, budget = attempt(count, bits)
    if parameters.security != security:
        limit = MAX_MODULUS_BITS_128[N]
        raise ParameterError(
            f"N={N}: its noise needs {sum(parameters.coeff_modulus_bits)} bits of modulus, and at most "
            f"{limit} keep 128-bit security"
        )
    return placed, parameters, budget


def _fit_ckks(
    program: Program, N: int, input_range: tuple[float, float], max_error: float, security: Security
) -> tuple[Program, Parameters, CkksError]:
    """The largest scale whose chain fits, if its error bound is within `max_error`."""
    depth, best = _depth(program), math.inf
    limit = MAX_MODULUS_BITS_128[N] if security == "128" else MAX_PRIMES * MAX_PRIME_BITS

    def attempt(first: int, scale_bits: int) -> tuple[Program, Parameters, CkksError, float]:
        chain = (first, *(scale_bits,) * depth, min(MAX_PRIME_BITS, limit - depth * scale_bits - first))
        parameters = Parameters("ckks", N, chain, scale_bits=scale_bits, security=security)
        placed = place_ckks(program, parameters)
        bounds = CkksErrorAlgebra(parameters, placed, *input_range)
        result = run(placed, bounds)
        return placed, parameters, result, bounds.headroom

    for scale_bits in range(min(50, (limit - 2 * SCALE_ROOM_BITS) // (depth + 2)), MIN_SCALE_BITS - 1, -1):
        first = min(MAX_PRIME_BITS, (limit - depth * scale_bits) // 2)
        try:
            *_, headroom = attempt(first, scale_bits)
        except ParameterError:
            break  # there are too few primes of this size, and fewer of smaller ones
        if headroom >= 1:
            # Bits that the values do not need make the special prime larger, and key switching less noisy.
            spare = min(int(headroom) - 1, first - scale_bits - SCALE_ROOM_BITS)
            placed, parameters, result, _ = attempt(first - spare, scale_bits)
            if result.bound <= max_error:
                return placed, parameters, result
            best = min(best, result.bound)
    raise ParameterError(
        f"N={N}: {depth} rescalings within {limit} bits of modulus leave "
        + (f"an error bound of {best:.2g}, more than {max_error}" if best < math.inf else "no room for the values")
    )


def _depth(program: Program) -> int:
    """Rescalings on the longest path."""
    depth: list[int] = []
    for operation in program.operations:
        before = max((depth[a] for a in arguments(operation)), default=0)
        depth.append(before + isinstance(operation, PlainDot | ScalarDot | Relinearise))
    return depth[program.output]


# ---------------------------------------------------------------------------------------------- small print


def _exact_stages(network: IntNetwork) -> list[Stage]:
    """The network's stages, if every value that Z_t must represent stays within (-t/2, t/2).

    Sums inside a stage may wrap around t; what enters a table and what is decrypted may not.
    """
    bound, inputs = PLAIN_MODULUS // 2, network.input_domain
    if inputs.magnitude > bound:
        raise ParameterError(f"the input domain must lie within +-{bound} to fit Z_{PLAIN_MODULUS}, got {inputs}")
    if network.accumulator_bound >= 2**53:
        raise ParameterError(
            f"every sum must stay below 2**53, for layers are fused in float64; got {network.accumulator_bound}"
        )
    tables = {i: node.lut for i, node in enumerate(network.layers) if isinstance(node, LutActivation)}
    for i, lut in tables.items():
        if lut.domain.size > PLAIN_MODULUS or np.abs(lut.table).max() > bound:
            raise ParameterError(f"layer {i}: a table must fit Z_{PLAIN_MODULUS} (values within +-{bound}), got {lut}")
    for i in [*(i - 1 for i in tables if i), len(network.layers) - 1]:
        domain = network.ranges[i]
        if domain.lo < -bound or domain.hi > bound:
            raise ParameterError(
                f"layer {i}: values reach [{domain.lo}, {domain.hi}], but Z_{PLAIN_MODULUS} holds only +-{bound}; "
                f"quantise the network to fewer bits"
            )
    plan = stages(network.input_shape, network.layers)
    _require_no_constant(plan, PLAIN_MODULUS)
    return plan


def _require_no_constant(plan: Sequence[Stage], modulus: float) -> None:
    """A stage that ignores its input would leave a ciphertext that is plain to see: there is nothing to encrypt."""
    for i, stage in enumerate(plan):
        zero = isinstance(stage, LinearMap) and not np.fmod(stage.weight, modulus).any()
        table = isinstance(stage, LutActivation) and len(set(stage.lut.table.tolist())) == 1
        polynomial = isinstance(stage, Activation) and stage.name == "polynomial" and not any(stage.coefficients[1:])
        if zero or table or polynomial:
            raise ParameterError(f"stage {i} gives the same output for every input: evaluate it in the clear")


def _centred(values: np.ndarray) -> np.ndarray:
    half = PLAIN_MODULUS // 2
    return (values + half) % PLAIN_MODULUS - half


def _describe(table: TablePolynomial, points: int) -> str:
    return (
        f"a table of {points} points is evaluated with {table.products} ciphertext products at depth {table.depth} "
        f"(symmetry: {table.symmetry})"
    )


def _interface(
    parameters: Parameters,
    input_shape: tuple[int, ...],
    input_range: tuple[float, float],
    program: Program,
    input_layout: InputLayout,
    output_layout: OutputLayout,
    tolerance: float,
    output_scale: float,
) -> Interface:
    return Interface(
        parameters=parameters,
        input_shape=input_shape,
        input_low=input_range[0],
        input_high=input_range[1],
        input=input_layout,
        output=output_layout,
        rotation_steps=tuple(sorted(program.rotation_steps)),
        swaps_rows=program.swaps_rows,
        multiplies=any(isinstance(op, Multiply) for op in program.operations),
        tolerance=tolerance,
        output_scale=output_scale,
    )


def _require_options(images: int | None, security: Security) -> None:
    if security not in ("128", "insecure"):
        raise ParameterError(f'`security` must be "128" or "insecure", got {security!r}')
    if images is not None and images < 1:
        raise ValueError(f"`images` must be at least 1, or None, got {images}")
