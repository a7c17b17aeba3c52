"""An engine's door: a program that has not been placed is evaluated by nobody."""

from dataclasses import replace

import numpy as np
import pytest

from he import prepare
from he.program.operations import Plain, PlainDot, Source, SwitchModulus
from he.program.placed import require_placed
from he.program.program import Program
from he.program.recorder import Recorder
from he.testing import compiled, square_graph, table_network

CIRCUITS = {
    "bfv": compiled(table_network(), security="insecure"),
    "ckks": compiled(square_graph(), security="insecure"),
}


def without_levels(program: Program) -> Program:
    operations = tuple(
        replace(op, plains=tuple(Plain(p.index) for p in op.plains)) if isinstance(op, PlainDot) else op
        for op in program.operations
    )
    return replace(program, operations=operations)


@pytest.mark.parametrize("scheme", CIRCUITS)
@pytest.mark.parametrize("engine", ["rns", "seal"])
def test_an_unplaced_program_is_refused_by_every_engine(scheme, engine):
    circuit = CIRCUITS[scheme]
    require_placed(circuit.program, circuit.parameters)
    with pytest.raises(ValueError, match=r"must have been placed .* has operands for levels \[0\], and meets a value"):
        prepare(replace(circuit, program=without_levels(circuit.program)), engine)


@pytest.mark.parametrize("scheme", CIRCUITS)
def test_a_program_for_other_levels_is_refused(scheme):
    program, parameters = CIRCUITS[scheme].program, CIRCUITS[scheme].parameters
    other = replace(parameters, coeff_modulus_bits=(*parameters.coeff_modulus_bits[:1], *parameters.coeff_modulus_bits))
    with pytest.raises(ValueError, match="must have been placed for these parameters"):
        require_placed(program, other)


def test_values_of_two_levels_do_not_meet():
    parameters, recorder = CIRCUITS["bfv"].parameters, Recorder()
    x = recorder.input(0)
    program = recorder.program(parameters.slots, [recorder.multiply(x, recorder.switch_modulus(x))])
    with pytest.raises(ValueError, match="operation 2 reads values of levels"):
        require_placed(program, parameters)


def test_the_last_prime_stays():
    parameters, recorder = CIRCUITS["bfv"].parameters, Recorder()
    x = recorder.input(0)
    for _ in range(parameters.levels):
        x = recorder.switch_modulus(x)
    with pytest.raises(ValueError, match="drops more primes than"):
        require_placed(recorder.program(parameters.slots, [x]), parameters)
    assert isinstance(recorder.program(1, [x]).operations[-1], SwitchModulus)


def test_outputs_have_two_polynomials():
    """What an answer is follows from the interface: no circuit may end in a product that was not relinearised."""
    parameters, recorder = CIRCUITS["bfv"].parameters, Recorder()
    x = recorder.input(0)
    product = recorder.multiply(x, x)
    for output in (product, recorder.add([product, x]), recorder.switch_modulus(product)):
        with pytest.raises(ValueError, match="outputs must be relinearised"):
            require_placed(recorder.program(parameters.slots, [output]), parameters)
    require_placed(recorder.program(parameters.slots, [recorder.relinearise(product)]), parameters)


def test_ckks_operands_have_scales():
    parameters, recorder = CIRCUITS["ckks"].parameters, Recorder()
    plain = replace(recorder.plaintext(np.ones(parameters.slots)), level=parameters.levels)
    program = recorder.program(parameters.slots, [recorder.plain_dot([recorder.input(0)], [plain])])
    with pytest.raises(ValueError, match="operation 1 has an operand without a scale"):
        require_placed(program, parameters)


def test_inputs_in_the_clear_are_refused():
    circuit = CIRCUITS["bfv"]
    clear = Source("data", "plaintext")
    (spec,), count = circuit.interface.inputs, len(circuit.program.inputs)
    interface = replace(circuit.interface, inputs=(replace(spec, source=clear),))
    program = replace(circuit.program, inputs=(clear,) * count)
    with pytest.raises(ValueError, match="evaluates encrypted inputs only"):
        prepare(replace(circuit, interface=interface, program=program))
    with pytest.raises(ValueError, match="the interface must describe the program: its inputs are"):
        prepare(replace(circuit, interface=interface))


@pytest.mark.parametrize(("owner", "kind"), [("nobody", "ciphertext"), ("data", "secret")])
def test_sources_are_of_two_owners_and_two_kinds(owner, kind):
    with pytest.raises(ValueError, match=r"`(owner|kind)` must be"):
        Source(owner, kind)
