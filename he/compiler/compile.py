"""The compiler's two entrances: integer networks to BFV, and float networks to CKKS."""

from __future__ import annotations

import sys
from typing import Literal, get_args

from numpy.typing import ArrayLike

from he.circuit.circuit import Circuit
from he.compiler.approximate import approximate_lowering, calibration_of
from he.compiler.exact import Tables, exact_lowering
from he.compiler.norms import MOST_AMPLIFIED
from he.compiler.ranges import MARGIN, Ranges
from he.compiler.search import PackingName, search
from he.readers.flooding import MOST_NORMAL_BITS, MOST_UNIFORM_BITS
from he.ring.params import ParameterError, Security, require_security
from intnn import Graph, IntClassifier, IntNetwork
from intnn.values.arrays import instance, integer

Weights = Literal["plain", "encrypted"]


def compile_exact(
    network: IntNetwork,
    *,
    images: int | None = 1,
    packing: PackingName = "latency",
    security: Security = "128",
    tables: Tables = "hidden",
    salt: bytes | None = None,
    circuit_privacy: int | None = None,
    plain_modulus: int | None = None,
    weights: Weights = "plain",
    threshold: int | None = None,
) -> Circuit:
    """Compile an integer network for BFV; the decrypted logits equal `network.logits` bit for bit.

    Args:
        network: an integer network. Every value before a table and every logit must lie within (-t/2, t/2), for the
            plaintext modulus t; others may wrap around it. Rescalings become tables (`intnn.tabulate`), so that a
            network of `IntClassifier` is compiled as it is.
        images: the least number of images that one evaluation serves, rounded up to what the slots hold evenly; None
            for as many as fit the slots of the smallest ring, with a request of at most 256 ciphertexts.
        packing: `"latency"` packs the features of few images into one ciphertext. `"throughput"` gives every feature
            its own ciphertext, which holds as many images as there are slots: that takes the least time an image.
        security: `"128"`, classical, by the table of 2024; `"128-2018"` for comparison with older tools; or
            `"insecure"` for tests. See `he.Parameters`.
        tables: `"hidden"` evaluates all tables of one size alike, so that whoever sees the circuit's interface learns
            their sizes and nothing else. `"told"` evaluates each as cheaply as it allows: the interface tells about its
            symmetry and degree. `"encrypted"`, for encrypted weights alone, hides what tables hold from whoever
            evaluates, as `"hidden"` does from clients; of `IntPolynomial`s, which coefficients are 0 or 1 still shows.
        salt: 32 secret bytes, which hide the network in the interface's commitment to it; by default random ones. With
            a given salt, compiling again gives the same circuit.
        circuit_privacy: have sessions re-randomise answers, so that a client with honest keys and fresh requests learns
            logits and nothing else of the weights: the answers of two networks with equal logits, as that client
            decrypts them, are within a statistical distance of 2^-circuit_privacy, for each answer (1 to 80; 40 is
            usual). It is paid with about as many bits of modulus and 20 more. By default nothing is added or promised.
        plain_modulus: t, a prime ≡ 1 mod 2N for the ring degree N that is found. By default it is 65537, or the
            largest prime ≡ 1 mod 65536 of the fewest bits that hold what must be held: 20, 22, ... up to 48. The larger
            t is, the longer is the modulus of ciphertexts. For polynomial networks see `compile_residues` as well.
        weights: `"plain"`, or `"encrypted"`: the model's owner encrypts weights and biases under a client's public key
            (`he.ModelOwner`), and whoever evaluates sees of the network its architecture, where weights may be other
            than 0, and the tables of its activations unless these are encrypted too. Only with `packing="latency"`.
        threshold: have data owner and model owner hold one key together, of which each has a share: an answer is opened
            with both (`he.parties.threshold`), and an evaluator who colludes with one of them reads nothing of the
            other's, as long as all three follow the protocol (docs/threat-model.md has what each can break). What the
            model owner adds tells of an answer logits alone, up to a statistical distance of 2^-threshold for each
            (1 to 80; 40 is usual). It is paid like `circuit_privacy`, with some bits more. Only with
            `weights="encrypted"`, and in the place of `circuit_privacy`.

    Raises:
        ParameterError: if no supported parameter set fits, with the reason for each ring, if a value does not fit t, if
            `plain_modulus` is no such prime, if a stage or a logit ignores the input, or if `security` is another
            string.
        TypeError: if a layer has no encrypted evaluation, or the salt is no bytes.
        ValueError: if `images` is not positive, `packing`, `tables` or `weights` is another string, the salt has
            another length, `circuit_privacy` or `threshold` is out of range, or options do not go together.
    """
    require_network(network)
    images = require_options(images, packing, security)
    encrypts = _encrypts(weights, packing)
    if not (isinstance(tables, str) and tables in get_args(Tables)):
        raise ValueError(f'`tables` must be "hidden", "told" or "encrypted", got {tables!r}')
    if tables == "encrypted" and not encrypts:
        raise ValueError('`tables` must be "hidden" or "told" where `weights` are not "encrypted"')
    hidden, owners = _hidden(circuit_privacy, threshold, MOST_UNIFORM_BITS, encrypts=encrypts)
    lowering = exact_lowering(
        network, security, tables, hidden, packing, plain_modulus, encrypts=encrypts, owners=owners
    )
    return search(lowering, images, packing, security, salt)


def compile_approximate(
    graph: Graph,
    samples: ArrayLike | None = None,
    *,
    ranges: Ranges = "proved",
    margin: float = MARGIN,
    images: int | None = 1,
    input_range: tuple[float, float] = (0.0, 1.0),
    max_error: float | None = None,
    packing: PackingName = "latency",
    security: Security = "128",
    salt: bytes | None = None,
    circuit_privacy: int | None = None,
    weights: Weights = "plain",
    threshold: int | None = None,
) -> Circuit:
    """Compile a float network with polynomial activations for CKKS.

    Args:
        graph: a float network whose activations are `square` or `polynomial`.
        samples: float [samples, *shape], for calibrated ranges: inputs like those that are to be encrypted, some
            hundreds of them.
        ranges: `"proved"`: the bound on the error holds for every input in `input_range`. `"calibrated"`: it holds for
            inputs whose layers reach hardly further than on the samples, by a `margin`, which lets deeper
            networks fit, and makes others cheaper. *Guards* show which inputs those are: sums of an even power
            of a layer's units, which are returned beside the logits, and told to the client. The client refuses an
            answer that does not keep its range (`RangeError`), and no such answer is ever returned: see
            `he.compiler.ranges`. Layers that no input takes so far have none.
        margin: how many times as far as on the samples a single unit may reach, and all units of a square together; at
            least 1.25. The larger the margin, the fewer images are refused, and the further from the samples are those
            that are not.
        images: the least number of images that one evaluation serves; see `compile_exact`.
        input_range: the least and the greatest value that an input may have; the client refuses others.
        max_error: the largest error of a logit, bounded for the worst input, that the parameters may cause. By default
            it is 0.2, or a 64th of the largest absolute value that a logit can have, if that is less. Clients accept
            more than 1 only by a `Policy(max_error=...)` of their own.
        packing: see `compile_exact`. For `"throughput"`, a network whose activations are all squares uses both parts of
            the complex slots.
        security: `"128"`, classical, by the table of 2024; `"128-2018"` for comparison with older tools; or
            `"insecure"` for tests. See `he.Parameters`.
        salt: see `compile_exact`. It decides how weights are rounded, too, so neither weights nor inputs may be chosen
            by whoever knows it.
        circuit_privacy: see `compile_exact`. The noise that is added takes up most of `max_error`, and what it hides
            must be far below. Scales hold about 50 bits, so that 6 to 20 bits of privacy are what networks can have (1
            to 30).
        weights: see `compile_exact`. Coefficients of activations are not encrypted.
        threshold: see `compile_exact`; with what is said of `circuit_privacy` here.

    Raises:
        ParameterError: if no supported parameter set fits, with the reason for each ring, if a stage or a logit
            ignores the input, or if `security` is another string.
        TypeError: if a node has no encrypted evaluation.
        ValueError: if an activation is no polynomial, or an argument is out of range.
        InputError: if samples do not lie in `input_range`, or have another shape.
    """
    instance(graph, Graph, "graph", _remedy(graph, "an IntNetwork is compiled with compile_exact"))
    images = require_options(images, packing, security)
    encrypts = _encrypts(weights, packing)
    hidden, owners = _hidden(circuit_privacy, threshold, MOST_NORMAL_BITS, encrypts=encrypts)
    calibration = calibration_of(graph, samples, ranges, margin, input_range, packing)
    if calibration and hidden:
        name = "circuit_privacy" if owners == 1 else "threshold"
        raise ValueError(f'`{name}` must be None where `ranges` are "calibrated": guards tell of layers')

    def attempt(most_amplified: float) -> Circuit:
        try:
            lowering = approximate_lowering(
                graph, input_range, max_error, security, hidden, packing, calibration, most_amplified, encrypts, owners
            )
            return search(lowering, images, packing, security, salt)
        except ArithmeticError:  # a number is beyond what a float holds
            raise ParameterError(
                "the network fits no parameter set: its values may be larger or smaller than any float holds. Make it "
                "shallower, or its values closer to one"
            ) from None

    try:
        return attempt(MOST_AMPLIFIED[0])
    except ParameterError as refusal:
        try:
            return attempt(MOST_AMPLIFIED[1])
        except ParameterError:
            raise refusal from None


def require_network(network: object) -> None:
    """Check that what an exact entrance is given is an integer network.

    Raises:
        TypeError: if it is not, with what to do.
    """
    other = "quantise a Graph first, or compile it with compile_approximate"
    instance(network, IntNetwork, "network", _remedy(network, other))


def _remedy(given: object, other: str) -> str:
    """Return what to do with something that is not what an entrance takes; `other` says it of the other entrance's."""
    torch = sys.modules.get("torch")  # whoever has a module has loaded it
    if isinstance(given, IntClassifier):
        return "compile its `network_` with compile_exact, once it is fitted"
    if torch and isinstance(given, torch.nn.Module):
        return "export it first: plaintext_models.bridge.export makes a Graph of a module, and an IntNetwork of another"
    if isinstance(given, Circuit):
        return "it is compiled already"
    if type(given).__name__ == "CompiledNetwork":
        return "compile the IntNetwork that it was made of"
    return other


def _hidden(privacy: int | None, threshold: int | None, most: int, *, encrypts: bool) -> tuple[int | None, int]:
    """Return up to how many bits the noise of answers is hidden, None if it is not, and how many own the key."""
    if threshold is not None and (privacy is not None or not encrypts):
        raise ValueError('`threshold` must go with `weights="encrypted"`, and in the place of `circuit_privacy`')
    if threshold is not None:
        return integer(threshold, "threshold", 1, most), 2
    return None if privacy is None else integer(privacy, "circuit_privacy", 1, most), 1


def _encrypts(weights: Weights, packing: PackingName) -> bool:
    """Return whether weights are to be encrypted."""
    if not (isinstance(weights, str) and weights in get_args(Weights)):
        raise ValueError(f'`weights` must be "plain" or "encrypted", got {weights!r}')
    if weights == "encrypted" and packing == "throughput":
        raise ValueError('`packing` must be "latency" with encrypted weights: of others, each is a number of its own')
    return weights == "encrypted"


def require_options(images: int | None, packing: PackingName, security: Security) -> int | None:
    """Check what both entrances take, and return `images` as a plain integer."""
    if not (isinstance(packing, str) and packing in ("latency", "throughput")):
        raise ValueError(f'`packing` must be "latency" or "throughput", got {packing!r}')
    require_security(security)
    try:
        return None if images is None else integer(images, "images", 1)
    except ValueError as error:
        raise ValueError(f"`images` must be from 1, below 2**63, or None, got {images}") from error
