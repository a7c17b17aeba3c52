"""A shipped network's circuits on a GPU: from a request's bytes to the answer's, and where the time goes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from bench.cases.gpu_floors import plan_floor_us
from bench.cases.gpu_operations import left_as_it_is
from bench.cases.gpu_residues import random_keys, random_request
from bench.harness.timing import median_seconds
from bench.report.gpu import GpuRow
from bench.tables.gpus import Gpu
from he import Circuit, compile_approximate
from he.engines.cuda.device import Board
from he.engines.cuda.engine import CudaEngine, CudaEvaluator, CudaPrepared
from he.engines.rns.engine import RnsEngine
from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import Kind, open_message
from he.formats.seal_bytes import CiphertextArray
from he.parties.rehearsal import answer_seconds, rehearsed_request
from intnn.network.graph import Graph
from plaintext_models.zoo import shipped

MODEL = "mnist-square-cnn"


def rows(threads: int, sheet: Gpu | None) -> Iterator[GpuRow]:
    """One image, beside the CPU in one thread, and a full batch, beside it in so many threads.

    Args:
        threads: The CPU's threads for the full batch.
        sheet: The GPU's data sheet, for floors.

    Raises:
        ValueError: An answer differs from the CPU's.
    """
    model = shipped.load(MODEL)
    assert isinstance(model, Graph)
    one = compile_approximate(model, images=1, packing="latency")
    batch = compile_approximate(model, packing="throughput")
    yield from circuit_rows(MODEL, one, 1, sheet, answers=9)
    yield from circuit_rows(MODEL, batch, threads, sheet, answers=3, graphs=(True,))


def circuit_rows(
    name: str,
    circuit: Circuit,
    threads: int,
    sheet: Gpu | None,
    answers: int,
    graphs: Sequence[bool] = (True, False),
) -> Iterator[GpuRow]:
    """Answers to one request, by a graph or by kernels that are started one by one.

    Args:
        name: The network's.
        circuit: Its circuit.
        threads: The CPU's threads.
        sheet: The GPU's data sheet, for floors.
        answers: The median is over so many, after a first one.
        graphs: Whether kernels are started by a graph, for every row.

    Raises:
        ValueError: The answer differs from the CPU's.
    """
    rng, interface = np.random.default_rng(0), circuit.interface
    keys, request = random_keys(circuit, rng), random_request(circuit, rng)
    theirs = RnsEngine().prepare(circuit, threads).bind(keys, threads)
    expected = theirs.evaluate(request)
    peer_us = 1e6 * statistics.median(answer_seconds(theirs, interface, request, 1 + answers)[1:])
    for graph in graphs:
        prepared = CudaEngine(graph=graph).prepare(circuit, threads)
        evaluator = prepared.bind(keys)
        if not all(evaluator.evaluate(request) == expected for _ in range(2)):  # the second one by the graph
            raise ValueError(f"the answers of {name} differ from the CPU's, and are not recorded")
        us = 1e6 * statistics.median(answer_seconds(evaluator, interface, request, 1 + answers)[1:])
        N, images = circuit.parameters.poly_modulus_degree, interface.packing.images
        yield GpuRow(
            work=f"{name}, {images:,} image{'s' * (images > 1)}, N = {N}{'' if graph else ', kernels one by one'}",
            ours_us=us,
            peer=f"CPU, {threads} thread{'s' * (threads > 1)}",
            peer_us=peer_us,
            ratio=peer_us / us,
            floor_us=None if sheet is None else plan_floor_us(prepared.plan, N, sheet),
            count=images,
            parts_us=parts_us(prepared, evaluator, request, answers, graph=graph),
        )


def parts_us(
    prepared: CudaPrepared, evaluator: CudaEvaluator, request: Sequence[bytes], repeats: int, *, graph: bool
) -> dict[str, float]:
    """The microseconds of what an answer is made of: medians over so many repetitions.

    Copies are what evaluations take longer with them than without; kernels unpack, expand seeds and evaluate.
    """
    circuit, board, plan = prepared.circuit, evaluator.board, prepared.plan
    interface, parameters = circuit.interface, circuit.parameters
    N = parameters.poly_modulus_degree
    result = Form.result(parameters, interface.output_level, interface.output_scale)
    message = rehearsed_request(interface, request, nonce=0)
    _, ciphertexts = open_message(Kind.REQUEST, message)  # as a session gets them
    outputs_stay = Board(prepared.resident, replace(plan, outputs=()), board.keys_for(prepared.resident), graph=graph)

    def us(action: Callable[[], object]) -> float:
        return 1e6 * median_seconds(action, repeats)

    def packed() -> list[bytes]:
        shaped = [rows.reshape(2, -1, N) for rows in outputs]
        return [compact.write(CiphertextArray(rows, result.ntt, result.scale), result) for rows in shaped]

    outputs = board.answer(ciphertexts)
    outputs_stay.answer(ciphertexts)
    whole = us(lambda: board.answer(ciphertexts))
    without_inputs, kernels = us(lambda: board.answer(left_as_it_is)), us(lambda: outputs_stay.answer(left_as_it_is))
    return {
        "opening": us(lambda: open_message(Kind.REQUEST, message, threads=evaluator.threads)),
        "copying in": whole - without_inputs,
        "kernels": kernels,
        "copying out": without_inputs - kernels,
        "packing": us(packed),
    }
