"""The options of every case, as data: their types, defaults, help texts, and what their values must be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bench.cases import names
from bench.cases.experiments import EXPERIMENTS
from bench.cases.own_models import MODELS
from bench.cases.scripts import groups
from bench.harness.case import Option, Options
from bench.harness.machine import MAX_THREADS
from bench.harness.workloads import WORKLOADS, trained_networks
from bench.tables.documents import LISTED
from bench.tables.meeting import DEFENDED
from bench.tables.networks import NETWORKS
from bench.tables.rows import TITLES

ALL_PATHS = "all"
MAX_SEED = 2**32 - 1  # every library that is compared takes seeds up to here, some none beyond
_MODELS = f"A file .onnx, .pt2, .npz or .json, or one of {', '.join(MODELS)}"
TURNS = 25  # of ours and of each peer, by default

Dataset = Annotated[str, Option("Images and networks to use.", choices=names.shipped_datasets)]
Data = Annotated[Path | None, Option("Folder with the files of MNIST or CIFAR-10 (or the variable INTNN_DATA).")]
Json = Annotated[Path | None, Option("Write the rows to this file.", writes="rows")]
Cache = Annotated[Path | None, Option("Folder that trained models are kept in.")]
Rounds = Annotated[int, Option("Turns that ours and the peers take.", least=1)]


def workloads() -> tuple[str, ...]:
    """The networks that are timed in the clear."""
    return tuple(WORKLOADS)


def experiments() -> tuple[str, ...]:
    """The networks that are trained in integers."""
    return tuple(EXPERIMENTS)


def rows() -> tuple[str, ...]:
    """The rows of the table."""
    return tuple(TITLES)


def model_kinds() -> tuple[str, ...]:
    """What `models` lists."""
    return LISTED


def meetings() -> tuple[str, ...]:
    """The defences whose integer twins are attacked and priced."""
    return DEFENDED


def paths() -> tuple[str, ...]:
    """The evaluations under encryption, one by one or all."""
    return *NETWORKS, ALL_PATHS


@dataclass(frozen=True)
class TableOptions(Options):
    """What `table` measures."""

    dataset: Dataset = "digits"
    data: Data = None
    images: Annotated[int | None, Option("Encrypted images per network; by default all digits, 256 of MNIST.")] = None
    row: Annotated[tuple[str, ...], Option("Rows of the table, one or several; by default all.", choices=rows)] = ()
    path: Annotated[str, Option("exact: BFV with tables. ckks: square activations.", choices=paths)] = ALL_PATHS
    network: Annotated[
        bool, Option("Train under FHE with refreshes as well, a whole network, in minutes.", flag="--network")
    ] = False
    whole: Annotated[
        bool, Option("With --network: make all steps of exact training, not two, in minutes more.", flag="--whole")
    ] = False
    keep: Annotated[Path | None, Option("Folder to keep training in while it runs, to go on if stopped.")] = None
    json: Json = None
    plot: Annotated[Path | None, Option("Draw the rows to this file: .png, .svg or .pdf.", writes="picture")] = None
    seed: Annotated[int, Option("For the choice of images.", least=0, most=MAX_SEED)] = 0


@dataclass(frozen=True)
class KernelOptions(Options):
    """What `kernels` measures; no thread count stands for one thread and for all."""

    work: Annotated[tuple[str, ...], Option("Networks to time; by default all.", choices=workloads)] = ()
    batch: Annotated[tuple[int, ...], Option("Inputs of a call, one or several.", least=1)] = (1, 64, 1024)
    threads: Annotated[
        tuple[int, ...], Option("Threads, one or several; by default 1 and all.", least=1, most=MAX_THREADS)
    ] = ()
    rounds: Rounds = TURNS
    json: Json = None
    seed: Annotated[int, Option("For parameters and inputs.", least=0, most=MAX_SEED)] = 0


@dataclass(frozen=True)
class TrainingOptions(Options):
    """What `training` measures; no thread count stands for one thread and for all."""

    work: Annotated[tuple[str, ...], Option("Networks to time; by default all.", choices=trained_networks)] = ()
    batch: Annotated[tuple[int, ...], Option("Examples of a step, one or several.", least=1)] = (64,)
    threads: Annotated[
        tuple[int, ...], Option("Threads of the others; by default 1 and all.", least=1, most=MAX_THREADS)
    ] = ()
    rounds: Rounds = TURNS
    json: Json = None
    seed: Annotated[int, Option("For parameters and examples.", least=0, most=MAX_SEED)] = 0


@dataclass(frozen=True)
class AccuracyOptions(Options):
    """What `accuracy` measures."""

    network: Annotated[tuple[str, ...], Option("One or several.", choices=experiments)] = ("digits-mlp",)
    data: Annotated[Path | None, Option("Folder with MNIST or CIFAR-10 (or the variable INTNN_DATA).")] = None
    seeds: Annotated[int, Option("How many runs, from seeds 0, 1, ...", least=1)] = 5
    epochs: Annotated[int | None, Option("Instead of the experiment's own.", least=1)] = None
    json: Json = None


@dataclass(frozen=True)
class SelectionOptions(Options):
    """What `selection` measures."""

    dataset: Dataset = "digits"
    data: Data = None
    json: Json = None


@dataclass(frozen=True)
class HeOptions(Options):
    """What `he` measures; no thread count stands for one thread, for two, and for all."""

    network: Annotated[
        tuple[str, ...], Option("One or several; by default all of the data set.", choices=names.shipped_networks)
    ] = ()
    dataset: Dataset = "digits"
    data: Data = None
    images: Annotated[int, Option("Images that are evaluated one by one.", least=1)] = 8
    threads: Annotated[
        tuple[int, ...], Option("Threads of the fast engine; by default 1, 2 and all.", least=1, most=MAX_THREADS)
    ] = ()
    max_error: Annotated[float, Option("Bound on the error of a logit of CKKS networks.")] = 0.2
    operations: Annotated[bool, Option("Whether to time single operations as well.")] = True
    json: Json = None


@dataclass(frozen=True)
class EncryptedNetworkOptions(Options):
    """What `encrypted-networks` measures."""

    network: Annotated[tuple[str, ...], Option("One or several.", choices=names.shipped_networks)] = (
        "digits-table-mlp",
        "digits-square-cnn",
    )
    data: Data = None
    images: Annotated[int, Option("Images, evaluated one by one; the first is not timed.", least=2)] = 8
    json: Json = None


@dataclass(frozen=True)
class AttackOptions(Options):
    """What `attacks` measures."""

    dataset: Annotated[str, Option("Images and network to attack.", choices=names.attacked_datasets)] = "digits"
    data: Data = None
    images: Annotated[int, Option("The first so many of the test split.", least=1)] = 500
    attack: Annotated[tuple[str, ...], Option("One or several, by name; by default those that are not slow.")] = ()
    slow: Annotated[bool, Option("All attacks, the slow ones too.", flag="--slow")] = False
    hardened: Annotated[bool, Option("Attack the network trained against PGD.", flag="--hardened")] = False
    radius: Annotated[float, Option("Of the Linf balls.")] = 0.3
    cache: Cache = None
    json: Json = None
    seed: Annotated[int, Option("For the network and random starts.", least=0, most=MAX_SEED)] = 0


@dataclass(frozen=True)
class RobustnessOptions(Options):
    """What `robustness` measures."""

    model: Annotated[str, Option("Which model.", choices=names.attacked_models)] = "digits-pgd-mlp"
    defence: Annotated[
        str | None, Option("Train it with this defence, or put that around it.", choices=names.defences)
    ] = None
    card: Annotated[bool, Option("The whole card, or a tenth of the effort.", flag="--card/--quick")] = True
    economical: Annotated[
        bool, Option("The adaptive attack in place of longer ones, and few queries.", flag="--economical")
    ] = False
    rival: Annotated[
        tuple[str, ...],
        Option("Whose examples are tried, too; by default all models' of the data.", choices=names.attacked_models),
    ] = ()
    images: Annotated[int, Option("Test images, the first ones.")] = 200
    norm: Annotated[str, Option("Of the perturbations.", choices=names.norms)] = "linf"
    radius: Annotated[float, Option("Largest length of a perturbation.")] = 0.1
    data: Data = None
    cache: Cache = None
    json: Json = None
    plot_dir: Annotated[Path | None, Option("Draw pictures into this folder.", writes="pictures")] = None
    seed: Annotated[int, Option("For training and attacks.", least=0, most=MAX_SEED)] = 0


@dataclass(frozen=True)
class SecrecyOptions(Options):
    """What `secrecy` measures."""

    model: Annotated[str, Option("A shipped network of integers.", choices=names.exact_networks)] = "digits-table-mlp"
    data: Data = None
    images: Annotated[int, Option("Test images, the first ones.")] = 32
    radius: Annotated[tuple[float, ...], Option("Of Linf balls.")] = (0.1, 0.2, 0.3)
    steps: Annotated[int, Option("Queries of the query attack, for an image.", least=1)] = 200
    json: Json = None
    seed: Annotated[int, Option("Of attacks, and of the attacker's own network.", least=0, most=MAX_SEED)] = 0


@dataclass(frozen=True)
class ModelsOptions(Options):
    """What `models` lists."""

    kind: Annotated[tuple[str, ...], Option("What to list, one or several; by default all.", choices=model_kinds)] = ()
    json: Json = None


@dataclass(frozen=True)
class PaperOptions(Options):
    """What `paper` measures again."""

    identifier: Annotated[
        tuple[str, ...],
        Option("Which of the documents' results, or a document.", choices=names.published, argument=True),
    ] = ("T23",)
    quick: Annotated[
        bool, Option("Fewer seeds, images and steps, and digits for MNIST; or all.", flag="--quick/--full")
    ] = True
    seeds: Annotated[int | None, Option("Runs from scratch; by default the experiment's own number.", least=1)] = None
    images: Annotated[int | None, Option("Test images, the first ones; by default its own number.", least=1)] = None
    setting: Annotated[tuple[str, ...], Option("Some lines of a result by their names; all by default.")] = ()
    clean: Annotated[bool, Option("Attack nothing: accuracies alone, of all test images.", flag="--clean")] = False
    data: Data = None
    keep: Annotated[Path, Option("Folder that finished runs are kept in, and taken from.", writes="kept")] = Path(
        "paper"
    )
    processes: Annotated[int | None, Option("Processes that seeds are shared out to; all cores.", least=1)] = None
    report: Annotated[Path | None, Option("Write a report, with all pictures, into this folder.", writes="report")] = (
        None
    )
    json: Json = None
    seed: Annotated[int, Option("The first run's; the others' follow.", least=0, most=MAX_SEED // 2)] = 0


@dataclass(frozen=True)
class MeetingOptions(Options):
    """What `meeting` measures."""

    defence: Annotated[tuple[str, ...], Option("Which defences; by default all.", choices=meetings)] = ()
    quick: Annotated[
        bool, Option("Digits and a tenth of the card's effort; or MNIST and all of it.", flag="--quick/--full")
    ] = True
    points: Annotated[
        tuple[int, ...], Option("Sizes of the twins' tables; by default the data set's own.", least=3, most=65537)
    ] = ()
    images: Annotated[int | None, Option("Test images that are attacked; 100, or 1,000.", least=1)] = None
    data: Data = None
    json: Json = None
    plot: Annotated[Path | None, Option("Draw the rows to this file: .svg, .png or .pdf.", writes="picture")] = None
    seed: Annotated[int, Option("For training and attacks.", least=0, most=MAX_SEED)] = 0


@dataclass(frozen=True)
class OwnOptions(Options):
    """What `own` measures."""

    model: Annotated[tuple[str, ...], Option(f"{_MODELS}; one or several.")] = ("digits-mlp",)
    samples: Annotated[Path | None, Option("Inputs for a model from a file, .npy, in the model's units.")] = None
    labels: Annotated[Path | None, Option("What is right for them, .npy.")] = None
    test_samples: Annotated[Path | None, Option("Inputs to test by, .npy; by default a fifth of the samples.")] = None
    test_labels: Annotated[Path | None, Option("What is right for those, .npy.")] = None
    task: Annotated[str | None, Option("What outputs are, where a file does not say.", choices=names.tasks)] = None
    adapt: Annotated[bool, Option("Fine-tune as well, given 5,000 samples.", flag="--adapt/--no-adapt")] = True
    images: Annotated[int, Option("Test inputs that are encrypted.", least=1)] = 3
    threads: Annotated[int | None, Option("Of an evaluation; by default all.", least=1, most=MAX_THREADS)] = None
    data: Data = None
    json: Json = None
    plot: Annotated[Path | None, Option("Draw the rows to this file: .png, .svg or .pdf.", writes="picture")] = None
    plot_dir: Annotated[Path | None, Option("Draw networks and circuits into this folder.", writes="pictures")] = None
    seed: Annotated[int, Option("For training and what is held out.", least=0, most=MAX_SEED)] = 0


@dataclass(frozen=True)
class GpuOptions(Options):
    """What `gpu` measures."""

    record: Annotated[Path, Option("Add the figures to this file.", writes="lines")] = Path("bench/records/gpu.jsonl")


@dataclass(frozen=True)
class StagesOptions(Options):
    """What `stages` measures."""

    network: Annotated[str, Option("A shipped network.", choices=names.shipped_networks)] = "mnist-small-cnn"
    images: Annotated[tuple[int, ...], Option("How many, one or several times.", least=1)] = (1, 100, 1000, 10_000)
    runs: Annotated[int, Option("Processes of each stage, whose median counts.", least=1)] = 3
    json: Json = None


@dataclass(frozen=True)
class ServiceOptions(Options):
    """What `service` measures."""

    network: Annotated[tuple[str, ...], Option("One or several.", choices=names.shipped_networks)] = (
        "digits-square-cnn",
    )
    rounds: Annotated[int, Option("Turns of one image, here and over loopback.", least=1)] = 150
    threads: Annotated[int, Option("Of an evaluation.", least=1, most=MAX_THREADS)] = 1
    clients: Annotated[int, Option("How many ask at once.", least=1)] = 64
    tenants: Annotated[int, Option("How many sets of keys they have together.", least=1)] = 8
    requests: Annotated[int, Option("How many the server takes in at once.", least=1)] = 48
    seconds: Annotated[float, Option("How long they ask; 0 for not at all.", least=0)] = 60.0
    kill: Annotated[bool, Option("Kill the server in the middle, and start it again.", flag="--kill/--no-kill")] = True
    json: Json = None


@dataclass(frozen=True)
class TimesOptions(Options):
    """What `times` measures."""

    what: Annotated[tuple[str, ...], Option("What to time; by default all.", choices=groups)] = ()
    processes: Annotated[int, Option("Fresh processes whose median counts.", least=1)] = 5
    json: Json = None
