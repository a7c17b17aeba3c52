"""Every way to arrange a network's rotations computes the same; the cheapest is taken, within the bytes for keys."""

from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from he import ParameterError
from he.compiler.evaluate import activate_polynomial
from he.compiler.fit import MAX_CHAIN_BITS
from he.compiler.fit_bfv import fit_bfv
from he.compiler.fit_ckks import fit_ckks
from he.compiler.latency import Schedule, choose_packing, lower, schedules, sketches
from he.compiler.linear import LinearMap, width_of
from he.compiler.norms import logit_bound, normalised
from he.compiler.rotations import Turns, compose
from he.compiler.schedules import cheapest
from he.compiler.stages import to_stages
from he.program.algebra import run
from he.program.fold import fold
from he.program.recorder import Recorder
from he.readers.clear import ClearAlgebra
from he.readers.cost import cost
from he.readers.noise_ckks import CkksErrorAlgebra
from he.ring.params import Parameters
from he.ring.scheme import Scheme
from he.testing import inputs, polynomial_graphs, square_graph
from intnn import Dense

N = 1024
PARAMETERS = Parameters("ckks", N, (40, 40), scale_bits=30, security="insecure")


def lowering(graph, images=1):
    stages = to_stages(graph.input_shape, graph.nodes)
    if not all(stage.support.any() for stage in stages if isinstance(stage, LinearMap)):
        reject()  # a kernel that sees nothing but padding: the compiler refuses it
    try:
        packing = choose_packing(Scheme.CKKS, N, images, stages)
    except ParameterError:  # too wide for so small a ring
        reject()
    write = partial(lower, stages, packing, lambda weights: weights, activate_polynomial)
    return stages, write, sketches(stages, packing, lambda weights: weights)


def fit_of(stages, max_error=1.0):
    """What finds parameters for a program of these stages."""
    _, norms, _ = normalised(stages, 0.0, 1.0)
    return lambda program: fit_ckks(fold(program), N, norms, 1.0, logit_bound(stages, norms), max_error, "insecure")


def logits(lowered, program, x):
    packed = lowered.input.pack(x.reshape(len(x), -1))
    (slots,) = run(program, ClearAlgebra(PARAMETERS.plain_modulus, packed, program.plaintexts, PARAMETERS.rows))
    # Copies are the same sum in another order: they agree to a few roundings of float64.
    return lowered.output.unpack(slots[None], len(x), 1e-9 * (1 + float(np.abs(slots).max())))


@settings(max_examples=25)
@given(polynomial_graphs(), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_every_schedule_computes_the_network(graph, images, seed):
    stages, write, _ = lowering(graph, images)
    x = inputs(graph, images)
    every = list(product(*schedules(stages)))
    rng = np.random.default_rng(seed)
    for i in rng.permutation(len(every))[:6]:
        lowered = write(every[i])
        # The same real arithmetic in another order: float64 rounding of some hundred terms.
        assert logits(lowered, lowered.program, x) == pytest.approx(graph.logits(x), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("images", [1, 2, 3, 4, 16, None])
@pytest.mark.parametrize("outputs", [1, 3, 100, 256])
@pytest.mark.parametrize("scheme", Scheme)
def test_every_logit_has_two_copies(scheme, outputs, images):
    """Exact ones had one where lanes filled a row. What does not fit takes a larger ring."""
    stages = to_stages((4,), (Dense(np.ones((outputs, 4)), np.zeros(outputs)),))
    for degree in (1024, 2048, 4096, 8192, 16384):
        try:
            packing = choose_packing(scheme, degree, images, stages)
        except ParameterError:
            continue
        rows = 1 if packing.split_rows else packing.rows
        assert packing.copies(width_of(stages[-1])) * rows >= 2
        assert packing.images >= (images or 1)
        break
    else:
        pytest.fail("no ring has room")


def test_a_second_copy_may_take_a_larger_ring():
    """256 logits of four images: two lanes of 256 units fill a row of 512 slots once."""
    stages = to_stages((4,), (Dense(np.ones((256, 4)), np.zeros(256)),))
    with pytest.raises(ParameterError, match="wider than a row of 512 slots"):
        choose_packing(Scheme.BFV, 1024, 4, stages)
    assert choose_packing(Scheme.BFV, 2048, 4, stages).copies(256) == 2


@settings(max_examples=25)
@given(polynomial_graphs(), st.integers(0, 12))
def test_fewer_keys_compute_the_same(graph, keys):
    stages, write, _ = lowering(graph)
    lowered = write([options[-1] for options in schedules(stages)])
    fewer = Turns(lowered.program, N // 2).affordable(keys, lambda value, made, split: made)
    assert fewer.rotation_steps <= lowered.program.rotation_steps
    x = inputs(graph, 1)
    assert logits(lowered, fewer, x) == pytest.approx(graph.logits(x), rel=1e-9, abs=1e-9)


def test_steps_are_composed_by_the_shortest_way():
    """Of 1, 2, 3, 4, 8 only 1 and 4 keep a key: 2 = 1 + 1, 3 = 2 + 1 on the way, 8 = 4 + 4."""
    recorder = Recorder()
    x = recorder.input(0)
    program = recorder.program(N // 2, [recorder.add([recorder.rotate(x, step) for step in (1, 2, 3, 4, 8)])])
    composed = compose(program, {1, 4}, N // 2)
    assert composed.rotation_steps == {1, 4}
    assert composed.counts["Rotate"] == 5
    with pytest.raises(ValueError, match=r"must reach every rotation of the program, got none that reach \[1, 3\]"):
        compose(program, {2, 4}, N // 2)


@settings(max_examples=10)
@given(polynomial_graphs(max_activations=1))
def test_the_cheapest_schedule_is_chosen(graph):
    stages, write, parts = lowering(graph)
    try:
        _, fitted = cheapest(stages, write, parts, fit_of(stages))
    except ParameterError:
        reject()
    every = [fitted.place(write(choice).program) for choice in product(*schedules(stages))]
    least = min(cost(p, fitted.parameters).total for p in every)
    assert cost(fitted.program, fitted.parameters).total == pytest.approx(least, rel=1e-12)  # sums in another order


def test_keys_are_given_up_until_they_fit():
    stages, write, parts = lowering(square_graph())
    _, free = cheapest(stages, write, parts, fit_of(stages))
    full = cost(free.program, free.parameters)
    _, fitted = cheapest(stages, write, parts, fit_of(stages), key_bytes=[full.key_bytes // 2])
    half = cost(fitted.program, fitted.parameters)
    assert half.key_bytes <= full.key_bytes // 2
    assert len(half.keys) < len(full.keys)
    assert half.total >= full.total


@settings(max_examples=15)
@given(polynomial_graphs(), st.sampled_from([1.0, 1e-2, 1e-4]))
def test_fitted_chains_keep_the_bound_and_the_prime_size(graph, max_error):
    stages, write, _ = lowering(graph)
    try:
        fitted = fit_of(stages, max_error)(write().program)
    except ParameterError as refusal:
        if "no scales" in str(refusal):
            reject()
        raise
    assert max(fitted.parameters.coeff_modulus_bits) <= MAX_CHAIN_BITS
    _, norms, _ = normalised(stages, 0.0, 1.0)
    algebra = CkksErrorAlgebra(fitted.parameters, fitted.program, norms, 1.0)
    (result,) = run(fitted.program, algebra)
    assert algebra.room(result) >= 0
    assert result.bound <= fitted.bound <= min(max_error, result.bound * (1 + 2**-9))  # rounded up
    assert result.scale == fitted.output_scale
    # SEAL encodes nothing at a scale that is as long as the modulus, however small the values.
    assert fitted.parameters.log2_modulus(result.level) - np.log2(result.scale) > 1


def test_bfv_primes_suit_the_kernels():
    recorder = Recorder()
    x = recorder.input(0)
    for _ in range(3):
        x = recorder.relinearise(recorder.multiply(x, x))
    fitted = fit_bfv(fold(recorder.program(8192, [x])), 8192, 65537, "128")
    assert max(fitted.parameters.coeff_modulus_bits) <= MAX_CHAIN_BITS
    assert fitted.bound >= 1
    assert fitted.again(recorder.program(8192, [x])).bound == fitted.bound


@pytest.mark.parametrize(("baby", "radix"), [(3, 2), (0, 2), (4, 3), (4, 1)])
def test_schedules_are_powers_of_two(baby, radix):
    with pytest.raises(ValueError, match="`baby` and `radix` must be powers of two"):
        Schedule(baby, radix)


def test_far_too_many_keys_are_given_up_by_the_dozen():
    """Every rotation of a row of 64 slots, of which two may keep a key: 1 and another reach all others."""
    recorder = Recorder()
    x = recorder.input(0)
    program = recorder.program(64, [recorder.add([recorder.rotate(x, step) for step in range(1, 64)])])
    asked = []

    def price(value, made, split):
        asked.append(value)
        return made + split

    fewer = Turns(program, 64).affordable(8, price)
    assert fewer.rotation_steps <= program.rotation_steps
    assert len(fewer.rotation_steps) == 8
    assert len(asked) < 0.65 * sum(range(9, 64))  # which are the prices that it takes one by one
    values = np.arange(64)[None]
    assert np.array_equal(*(run(p, ClearAlgebra(257, values, rows=1)) for p in (program, fewer)))


@settings(max_examples=15)
@given(st.sets(st.integers(1, 31), min_size=2, max_size=12), st.lists(st.integers(1, 11), min_size=2, max_size=4))
def test_what_was_counted_for_one_limit_serves_the_next(steps, limits):
    recorder = Recorder()
    x = recorder.input(0)
    values = [recorder.rotate(x, step) for step in sorted(steps)]
    values += [recorder.rotate(values[0], step) for step in sorted(steps)[::2]]
    program = recorder.program(32, [recorder.add(values)])
    turns = Turns(program, 32)
    for number, keys in enumerate(limits):  # at other prices every time

        def price(value, made, split, number=number):
            return made + (1 + number) * split

        kept, fresh = turns.affordable(keys, price), Turns(program, 32).affordable(keys, price)
        assert kept.operations == fresh.operations
