"""All cases. Their modules are loaded when they run, so that no command loads a library that it does without."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.cases import options
from bench.harness.case import Case

_ALL = (
    Case(
        "table",
        "Table 3.1: inference in the clear and on encrypted images.",
        options.TableOptions,
        "bench.cases.table",
        extras=("he", "data", "bench"),
        schema=2,
    ),
    Case(
        "kernels",
        "Integer inference beside onnxruntime, torch and numpy (the extras peers and train).",
        options.KernelOptions,
        "bench.cases.kernels",
        extras=("bench", "peers", "train"),
    ),
    Case(
        "training",
        "A step of integer training beside float training in torch and numpy (the extra train).",
        options.TrainingOptions,
        "bench.cases.training",
        extras=("bench", "train"),
    ),
    Case(
        "accuracy",
        "What training in integers alone reaches, over several seeds.",
        options.AccuracyOptions,
        "bench.cases.accuracy",
        extras=("data", "bench"),
    ),
    Case(
        "selection",
        "How the constants of heads that are trained on ciphertexts were chosen, on held-out training images.",
        options.SelectionOptions,
        "bench.cases.selection",
        extras=("he", "data", "bench"),
    ),
    Case(
        "he",
        "The fast engine beside SEAL's evaluator: operations, then networks.",
        options.HeOptions,
        "bench.cases.he",
        extras=("he", "data", "bench"),
    ),
    Case(
        "encrypted-networks",
        "Networks whose weights are encrypted, beside the same with plain weights.",
        options.EncryptedNetworkOptions,
        "bench.cases.encrypted_networks",
        extras=("he", "data", "bench"),
    ),
    Case(
        "times",
        "What a fresh process waits for: imports, compilation, and its first encrypted answer.",
        options.TimesOptions,
        "bench.cases.times",
        extras=("he", "data", "bench"),
    ),
    Case(
        "stages",
        "Encrypted inference by commands that exchange files: what each costs, its start included.",
        options.StagesOptions,
        "bench.cases.stages",
        extras=("he", "data", "bench"),
    ),
    Case(
        "service",
        "A server over loopback: one image beside its evaluation, many clients, and a crash (the extra serve).",
        options.ServiceOptions,
        "bench.cases.service",
        extras=("he", "serve", "data", "bench"),
    ),
    Case(
        "attacks",
        "Attacks beside foolbox and pyautoattack (the extras attacks and oracles).",
        options.AttackOptions,
        "bench.cases.attacks",
        extras=("data", "attacks", "bench", "oracles"),
    ),
    Case(
        "robustness",
        "How robust a model is: many attacks, their worst case, and signs that it is not to be believed.",
        options.RobustnessOptions,
        "bench.cases.robustness",
        extras=("data", "attacks", "bench"),
    ),
    Case(
        "models",
        "All networks, attacks and defences, with the documents that they come from.",
        options.ModelsOptions,
        "bench.cases.models",
        extras=("data", "attacks", "bench"),
    ),
    Case(
        "paper",
        "Published results measured again: as they were published, and under attacks that know the defence.",
        options.PaperOptions,
        "bench.cases.paper",
        extras=("data", "attacks", "bench"),
        schema=3,
    ),
    Case(
        "secrecy",
        "What hiding a network stops: attacks by what is seen of it, decrypted answers among them.",
        options.SecrecyOptions,
        "bench.cases.secrecy",
        extras=("he", "data", "attacks", "bench"),
    ),
    Case(
        "meeting",
        "Robustness against encrypted time: integer twins of defended networks, attacked, proved and priced.",
        options.MeetingOptions,
        "bench.cases.meeting",
        extras=("he", "data", "attacks", "bench"),
    ),
    Case(
        "own",
        "A model of one's own on ciphertexts: what every way keeps, takes and costs (the extra train for torch).",
        options.OwnOptions,
        "bench.cases.own",
        extras=("he", "data", "bench"),
    ),
    Case(
        "gpu",
        "The CUDA kernels on this machine's GPU: equality with the reference, then speed.",
        options.GpuOptions,
        "bench.cases.gpu",
        extras=("he", "bench", "cuda"),
    ),
)

#: Every case by its name, in the order in which `--help` lists them.
CASES: Mapping[str, Case] = MappingProxyType({case.name: case for case in _ALL})
