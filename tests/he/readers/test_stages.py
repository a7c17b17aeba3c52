from itertools import pairwise

import pytest

from he import compile_approximate, compile_exact
from he.readers.cost import cost
from he.readers.stages import stages
from he.testing import square_graph, table_network


@pytest.mark.parametrize("packing", ["latency", "throughput"])
@pytest.mark.parametrize("compiled", [lambda p: compile_exact(table_network(), packing=p),
                                      lambda p: compile_approximate(square_graph(), packing=p)])  # fmt: skip
def test_stages_are_the_program_in_parts(compiled, packing):
    circuit = compiled(packing)
    program, parameters = circuit.program, circuit.parameters
    found = stages(program, parameters)
    assert [stage.kind for stage in found] == ["input", "linear", "activation", "linear"]
    assert sum(sum(stage.counts.values()) for stage in found) == len(program.operations)
    units = sum(stage.units for stage in found)
    assert units == pytest.approx(cost(program, parameters).total, rel=1e-12)  # sums in another order
    levels = [stage.levels for stage in found]
    assert levels[0] == (parameters.levels, parameters.levels)
    assert levels[-1][1] == circuit.interface.output_level
    assert all(first >= last for first, last in levels)
    assert all(before[1] == after[0] for before, after in pairwise(levels))
    has_scales = not parameters.scheme.exact
    assert all((stage.scale_bits > 0) == has_scales for stage in found if stage.kind == "linear")
    products = sum(stage.counts.get(name, 0) for stage in found[2:3] for name in ("Multiply", "SquareParts"))
    assert products == sum(stage.counts.get(name, 0) for stage in found for name in ("Multiply", "SquareParts")) > 0
