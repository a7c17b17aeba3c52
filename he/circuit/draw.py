"""Circuits as pictures: stages with their levels, scales and units."""

from __future__ import annotations

import os

from he.circuit.interface import Interface
from he.formats.compact import Form
from he.program.program import Program
from he.readers.cost import ciphertext_bytes
from he.readers.stages import Stage, stages
from he.ring.params import Parameters
from intnn.export.picture import Box, draw_boxes

#: What is told of a stage's operations, by the name of their class.
_COUNTED = {
    "Rotate": ("rotation", "rotations"),
    "Multiply": ("product", "products"),
    "SquareParts": ("square", "squares"),
    "PlainDot": ("plain sum", "plain sums"),
    "Matrix": ("matrix", "matrices"),
}


def draw_circuit(
    interface: Interface, program: Program, bound: str, path: str | os.PathLike[str], title: str = "circuit"
) -> None:
    """Draw a circuit from the request to the answer.

    Args:
        interface: the circuit's interface.
        program: its program.
        bound: one line on the noise of the answer.
        path: the file, .svg, .png or .pdf; it appears whole or not at all.
        title: what stands above, before the parameters.

    Raises:
        ValueError: if the suffix is another one.
        ImportError: if Matplotlib is not installed.
        OSError: if the file cannot be written.
    """
    parameters = interface.parameters
    boxes, counted = [], {"linear": 0, "activation": 0}
    found = stages(program, parameters)
    for number, stage in enumerate(found):
        sources = (number - 1,) if number else ()
        if stage.kind == "input":
            sent = Form.fresh(parameters).bytes * len(program.inputs)
            heading = f"request: {len(program.inputs)} ciphertext(s), {sent / 1e6:.1f} MB"
            lines = (f"images: {interface.packing.images}", _levels(stage, parameters), f"{stage.units:.1f} units")
        else:
            counted[stage.kind] += 1
            heading = f"{'linear map' if stage.kind == 'linear' else 'activation'} {counted[stage.kind]}"
            counts = [(stage.counts.get(name, 0), words) for name, words in _COUNTED.items()]
            done = ", ".join(f"{count} {words[count > 1]}" for count, words in counts if count)
            scale = f", weights at 2^{stage.scale_bits:.0f}" if stage.scale_bits else ""
            lines = (f"{stage.units:.1f} units", done, _levels(stage, parameters) + scale)
        boxes.append(Box(heading, lines, sources, stage.kind))
    answer = ciphertext_bytes(parameters, interface.output_level) * len(program.outputs)
    boxes.append(
        Box(
            f"answer: {len(program.outputs)} ciphertext(s), {answer / 1e6:.1f} MB",
            (bound, f"{sum(stage.units for stage in found):.1f} units in all"),
            (len(found) - 1,),
        )
    )
    draw_boxes(boxes, f"{title}, N = {parameters.poly_modulus_degree}", path)


def _levels(stage: Stage, parameters: Parameters) -> str:
    """The levels of a stage and the bits of modulus that they have."""
    first, last = (
        f"{level} ({sum(prime.bit_length() for prime in parameters.primes[:level])} bits)" for level in stage.levels
    )
    return f"level {first}" if first == last else f"level {first} to {last}"
