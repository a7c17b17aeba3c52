"""What a server proposes and no client takes: refused by its name, before a key is made or anything is allocated."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from he import Client, Interface, MessageError, ParameterError, Policy, PolicyError, SecretKey
from he.circuit.packing import InputLayout, OutputLayout
from he.formats.messages import Kind, seal_message
from he.testing import compiled
from tests.he.parties.exchange import NETWORKS

INSECURE = Policy(security="insecure")
LARGE = {  # a parameter set of 128 bits, for which keys and ciphertexts are large
    "scheme": "ckks",
    "poly_modulus_degree": 32768,
    "coeff_modulus_bits": [50] * 16,
    "plain_modulus": None,
    "scale_bits": 40,
    "security": "128",
}
WHOLE = {"rotation_steps": [], "swaps_rows": False, "output": [1, 1], "packing": [1, 16384, 16384, False, 8]}
SPEC = {"features": 1, "shape": [1], "gather": [[0]], "range": [0.0, 1.0]}


@pytest.fixture
def no_keys(monkeypatch):
    """No key is generated."""

    def generated(_):
        raise AssertionError("a key was generated")

    monkeypatch.setattr(SecretKey, "generate", generated)


def proposal(party, **changes):
    """The party's interface with other fields, those of its input among them, and what the units read."""
    fields, (table,) = party.circuit.interface.to_dict(), party.circuit.interface.tables
    if "gather" in changes:
        rows = np.array(changes["gather"], np.int32)
        changes["gather"] = [*rows.shape, len(rows)]
        table = np.array([*rows.ravel(), *range(len(rows))], np.int32)
    for name, value in changes.items():
        (fields["inputs"][0] if name in fields["inputs"][0] else fields)[name] = value
    return seal_message(Kind.INTERFACE, fields, [table.tobytes()])


def large(party, **changes):
    """A proposal in the largest ring."""
    return proposal(party, parameters=LARGE, output_level=1, **{**WHOLE, **SPEC, **changes})


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("tolerance", {"tolerance": 1e300}),
        ("tolerance", {"tolerance": 2.001}),
        ("rotation_steps", {"rotation_steps": list(range(1, 10_000))}),  # as many as a header holds
        ("rotation_steps", {"rotation_steps": list(range(1, 40))}),
        ("gather", {"features": 200_000, "shape": [200_000], "gather": [list(range(200_000))]}),
        ("features", {"features": 100_000, "shape": [100_000], "gather": [[0]]}),
        ("features", {"features": 1 << 30, "shape": [1 << 30], "gather": [[0]]}),
        ("output", {"output": [1, 10_000]}),
        ("output", {"output": [1, 1 << 60]}),
        ("range", {"range": [0.0, 1e300]}),
        ("range", {"range": [-(2.0**21), 0.0]}),
        ("packing", {"packing": [1, 16384, 16384, False, 7]}),
        ("packing", {"packing": [1, 16384, 16384, False, 0]}),
    ],
)
def test_a_proposal_outside_the_policy_is_refused(approximate, no_keys, field, changes):
    data = large(approximate, **changes)
    tracemalloc.start()
    with pytest.raises(PolicyError, match=rf"the interface's `{field}` must be .* by the client's policy, got .*"):
        Client(data)
    assert tracemalloc.get_traced_memory()[1] < 64 * len(data) + (16 << 20)
    tracemalloc.stop()


def test_the_same_proposal_within_the_policy_is_taken(approximate, no_keys):
    for changes in ({}, {"tolerance": 2.0}, {"range": [-(2.0**20), 2.0**20]}, {"output": [1, 100]}):
        with pytest.raises(AssertionError, match="a key was generated"):
            Client(large(approximate, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        *({"tolerance": number} for number in (1e300, 1e-300, 1, 10**300, -0.5)),
        *({"output_scale": number} for number in (2.0, 1e300, 2**60, 10**300)),
        *({"features": number} for number in (5.0, "5", None, True, 10**400)),
        *({"range": ends} for ends in ([0, 10**400], [0.0, 1.0], [0, 40_000], [-1e300, 1e300], [0, 2**63])),
        *({"output_level": number} for number in (0, -1, 1.0, "1", None, True, 99, 10**400)),
        *({"commitment": text} for text in ("", None, 3, "0" * 63, "0" * 65, "G" * 64, "A" * 64, ["0"] * 64)),
    ],
)
def test_what_no_exact_interface_can_be_is_malformed(exact, no_keys, changes):
    with pytest.raises(MessageError, match=r"the (interface|header of the message with interface) is malformed"):
        Client(proposal(exact, **changes), policy=INSECURE)


@pytest.mark.parametrize(
    "changes",
    [
        *({"range": ends} for ends in ([0.0, 10**400], [0, 2**53 + 1], [-(10**300), 0.0], [0.0, math.inf])),
        *({"tolerance": number} for number in (10**300, 2**53 + 1, math.inf, True)),
        {"scale": 10**300},
        {"output_scale": 2**54},
    ],
)
def test_numbers_that_no_float_holds_are_malformed(approximate, no_keys, changes):
    with pytest.raises(MessageError, match=r"the (interface|header of the message with interface) is malformed"):
        Client(proposal(approximate, **changes), policy=INSECURE)


def test_a_range_that_the_modulus_does_not_hold_is_refused(approximate, no_keys):
    """SEAL would refuse to encode it, in its own words, when the first image is encrypted."""
    parameters = {**LARGE, "coeff_modulus_bits": [50, 50], "scale_bits": 40}
    for end, refusal in ((2.0**9, PolicyError), (2.0**7, AssertionError)):
        data = proposal(approximate, parameters=parameters, output_level=1, **WHOLE, **{**SPEC, "range": [0.0, end]})
        with pytest.raises(refusal, match=r"`range`|generated"):
            Client(data)


def test_clients_insist_on_what_they_like(exact, approximate, no_keys):
    interface, other = exact.circuit.interface, approximate.circuit.interface
    for limits, proposed, field in (
        ({"schemes": ("ckks",)}, interface, "scheme"),
        ({"schemes": ["bfv"]}, other, "scheme"),
        ({"max_error": other.tolerance / 2.001}, other, "tolerance"),
        ({"max_error": 0}, other, "tolerance"),
        ({"most_key_bytes": 1000}, interface, "rotation_steps"),
        ({"most_request_bytes": 1000}, interface, "gather"),
        ({"most_answer_bytes": 1000}, interface, "output"),
        ({"largest_input": 0.5}, interface, "range"),
        ({"least_copies": 1 << 10, "least_guards": 1}, interface, "packing"),
        ({"security": "128"}, interface, "security"),
    ):
        policy = Policy(**{"security": "insecure", **limits})
        with pytest.raises(PolicyError, match=f"the interface's `{field}` must be"):
            Client(proposed, policy=policy)


def test_an_interface_without_copies_is_refused(no_keys):
    """Answers of such a circuit have nothing by which a client could tell that they are none."""
    interface = compiled(NETWORKS["bfv"], images=4, security="insecure").interface
    packing = replace(interface.packing, lanes=interface.packing.row_length // 4)
    (spec,) = interface.inputs
    bare = replace(
        interface,
        inputs=(replace(spec, layout=InputLayout.of(packing, spec.layout.features, spec.layout.gather[:4])),),
        output=OutputLayout(packing, 4, 3),
    )
    with pytest.raises(PolicyError, match="`packing` must be such that every logit has 2 copies, or a row 8 guards"):
        Client(bare, policy=INSECURE)


@pytest.mark.parametrize("proposal", [{"rotation_steps": (1, 2, 4)}, {"swaps_rows": True}])
def test_guards_count_only_where_no_key_moves_them(proposal, no_keys):
    """With such keys a server makes all lanes alike: guards then agree, whatever the lanes hold."""
    interface = compiled(NETWORKS["bfv"], packing="throughput", security="insecure").interface
    with pytest.raises(PolicyError, match="8 guards and no key moves an image to another lane"):
        Client(replace(interface, **proposal), policy=INSECURE)


@pytest.mark.parametrize("images", [1, 2, 3, 8, None])
@pytest.mark.parametrize("scheme", NETWORKS)
def test_whatever_is_compiled_is_within_the_default_policy(scheme, images):
    for packing in ("latency", "throughput"):
        interface = compiled(NETWORKS[scheme], images=images, packing=packing, security="insecure").interface
        INSECURE.require(interface)
        INSECURE.require(Interface.from_dict(interface.to_dict(), interface.tables))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"security": "none"}, ParameterError, "`security` must be"),
        ({"schemes": ["bgv"]}, ValueError, r'`schemes` must be a tuple of one or more of "bfv", "ckks", got \[.bgv.\]'),
        ({"schemes": "bfv"}, ValueError, "`schemes` must be a tuple"),
        ({"schemes": ()}, ValueError, "`schemes` must be a tuple"),
        ({"max_error": -1}, ValueError, "`max_error` must be at least 0"),
        ({"max_error": math.nan}, ValueError, "`max_error` must"),
        ({"max_error": "1"}, TypeError, "`max_error` must be"),
        ({"most_answers": 0}, ValueError, "`most_answers` must"),
        ({"most_refusals": 0}, ValueError, "`most_refusals` must"),
        ({"most_open": 0}, ValueError, "`most_open` must"),
        ({"most_key_bytes": 1.5}, TypeError, "`most_key_bytes` must be an integer"),
        ({"least_copies": True}, TypeError, "`least_copies` must be an integer"),
    ],
)
def test_a_policy_is_made_of_numbers(fields, error, message):
    with pytest.raises(error, match=message):
        Policy(**fields)


@pytest.mark.parametrize("policy", ["128", 3, INSECURE.security, {"security": "insecure"}])
def test_what_is_no_policy_is_refused(exact, policy):
    with pytest.raises(TypeError, match=r"`policy` must be a Policy, got \w+; give a Policy"):
        Client(exact.circuit.interface, policy=policy)


def test_what_refusals_tell_is_counted():
    assert math.isclose(Policy().leaked_bits, math.log2(sum(math.comb(1 << 16, k) for k in range(9))))
    assert round(Policy().leaked_bits) == 113
    assert Policy(most_answers=5, most_refusals=1).leaked_bits == math.log2(6)
    assert Policy(most_answers=3, most_refusals=3).leaked_bits == 3
    assert Policy.trusting().leaked_bits > 1e18
