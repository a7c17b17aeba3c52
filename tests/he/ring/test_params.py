import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from he import ParameterError, Parameters
from he.formats.seal_bridge import create_context
from he.ring.params import MAX_MODULUS_BITS, RING_DEGREES

BFV = Parameters("bfv", 8192, (50, 50, 50, 60), plain_modulus=65537)
CKKS = Parameters("ckks", 8192, (60, 40, 40, 60), scale_bits=40)


@st.composite
def parameter_sets(draw):
    N = draw(st.sampled_from(RING_DEGREES))
    data = draw(st.lists(st.integers(30, 60), min_size=1, max_size=8))
    bits = (*data, draw(st.integers(max(data), 60)))
    allowed = [security for security, limits in MAX_MODULUS_BITS.items() if sum(bits) <= limits.get(N, 0)]
    security = draw(st.sampled_from([*allowed, "insecure"]))
    if draw(st.booleans()):
        return Parameters("bfv", N, bits, plain_modulus=65537 if N < 65536 else 786433, security=security)
    return Parameters("ckks", N, bits, scale_bits=draw(st.integers(10, 60)), security=security)


@given(parameter_sets())
def test_parameters_survive_json_with_their_digest(parameters):
    read = Parameters.from_dict(json.loads(json.dumps(parameters.to_dict())))
    assert read == parameters
    assert read.digest == parameters.digest


@given(parameter_sets(), parameter_sets())
def test_equal_digests_mean_equal_parameters(a, b):
    assert (a.digest == b.digest) == (a == b)


@given(parameter_sets())
def test_derived_numbers(p):
    N = p.poly_modulus_degree
    assert len(p.primes) == len(p.coeff_modulus_bits) == p.levels + 1
    assert len(set(p.primes)) == len(p.primes)
    assert [q.bit_length() for q in p.primes] == list(p.coeff_modulus_bits)
    assert all(q % (2 * N) == 1 for q in p.primes)
    assert p.data_primes == p.primes[:-1]
    assert p.slots == p.rows * p.row_length == (N if p.scheme == "bfv" else N // 2)
    assert p.security_bits == (128 if sum(p.coeff_modulus_bits) <= MAX_MODULUS_BITS["128"][N] else 0)


LIMITS = [(1024, 26), (2048, 53), (4096, 106), (8192, 214), (16384, 430), (32768, 868), (65536, 1747)]


@pytest.mark.parametrize(("N", "limit"), LIMITS)
def test_the_table_of_2024_is_enforced(N, limit):
    """Bossuat et al., Security Guidelines (ePrint 2024/463), ternary secret, 128 bits, classical."""
    count = max(2, -(-limit // 50))
    bits = sorted((limit + i) // count for i in range(count))  # they sum to the limit
    if min(bits) >= 20:
        assert Parameters("ckks", N, tuple(bits), scale_bits=20).security_bits == 128
        bits[-1] += 1
    else:  # no two primes of 20 bits fit the smallest ring
        bits = [20, 20]
    with pytest.raises(ParameterError, match=rf"at most {limit} at N={N} .* got {sum(bits)}; choose a larger N"):
        Parameters("ckks", N, tuple(bits), scale_bits=20)
    assert Parameters("ckks", N, tuple(bits), scale_bits=20, security="insecure").security_bits == 0


@pytest.mark.parametrize(("N", "limit"), [(2048, 54), (4096, 109), (8192, 218), (16384, 438), (32768, 881)])
def test_the_table_of_2018_holds_where_it_is_named(N, limit):
    """Albrecht et al., Homomorphic Encryption Standard (2018), Table 1, ternary secret, 128 bits, classical."""
    count = max(2, -(-limit // 50))
    bits = sorted((limit + i) // count for i in range(count))
    older = Parameters("ckks", N, tuple(bits), scale_bits=20, security="128-2018")
    assert older.security_bits == 0
    assert "by the table of 2018" in str(older)
    with pytest.raises(ParameterError, match="128-bit classical security, got"):
        replace(older, security="128")
    bits[-1] += 1
    with pytest.raises(ParameterError, match=rf"at most {limit} at N={N} for .* of 2018, got {sum(bits)}"):
        replace(older, coeff_modulus_bits=tuple(bits))


@pytest.mark.parametrize("security", ["128", "128-2018"])
def test_seal_checks_every_set_that_claims_to_be_secure(security):
    claimed = replace(BFV, coeff_modulus_bits=(60, 60, 60, 60), security="insecure")
    object.__setattr__(claimed, "security", security)
    with pytest.raises(ParameterError, match="SEAL refuses BFV, N=8192"):
        create_context(claimed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheme": "bgv"}, r'`scheme` must be "bfv" or "ckks", got \'bgv\''),
        (
            {"plain_modulus": 1099511922689, "coeff_modulus_bits": (30, 30, 30)},
            "`plain_modulus` must be below the first prime",
        ),
        ({"security": "80"}, r'`security` must be "128", "128-2018" or "insecure", got \'80\''),
        ({"poly_modulus_degree": 8000}, "`poly_modulus_degree` must be one of .* got 8000"),
        ({"poly_modulus_degree": 131072}, "`poly_modulus_degree` must be one of .* got 131072"),
        ({"poly_modulus_degree": 8192.0}, "`poly_modulus_degree` must be"),
        ({"poly_modulus_degree": "8192"}, "`poly_modulus_degree` must be"),
        ({"coeff_modulus_bits": (60,)}, "`coeff_modulus_bits` must be two to 64 sizes from 20 to 60"),
        ({"coeff_modulus_bits": ()}, "`coeff_modulus_bits` must be two to 64"),
        ({"coeff_modulus_bits": None}, "`coeff_modulus_bits` must be two to 64"),
        ({"coeff_modulus_bits": (40, 61)}, "`coeff_modulus_bits` must be .* from 20 to 60, got \\(40, 61\\)"),
        ({"coeff_modulus_bits": (19, 60)}, "`coeff_modulus_bits` must be .* from 20 to 60"),
        ({"coeff_modulus_bits": (40.0, 60.0)}, "`coeff_modulus_bits` must be"),
        ({"coeff_modulus_bits": (40, "60")}, "`coeff_modulus_bits` must be"),
        ({"coeff_modulus_bits": (20,) * 65}, "`coeff_modulus_bits` must be two to 64 sizes"),
        (
            {"plain_modulus": None},
            "`plain_modulus` must be a prime ≡ 1 mod 2N=16384 of at most 60 bits for BFV, got None",
        ),
        ({"plain_modulus": 4611686018427322369}, "`plain_modulus` must be a prime .* of at most 60 bits"),  # one of 62
        ({"plain_modulus": 65536}, "`plain_modulus` must be a prime .* got 65536"),
        ({"plain_modulus": 40961}, "`plain_modulus` must be a prime .* got 40961"),  # a prime ≡ 1 mod 8192 only
        ({"plain_modulus": 1}, "`plain_modulus` must be a prime"),
        ({"plain_modulus": 16385}, "`plain_modulus` must be a prime"),  # 5 * 29 * 113
        ({"plain_modulus": 65537.0}, "`plain_modulus` must be a prime"),
        ({"plain_modulus": "65537"}, "`plain_modulus` must be a prime"),
        ({"scale_bits": 40}, "`scale_bits` must be None for BFV, got 40"),
    ],
)
def test_malformed_fields_are_named(changes, message):
    with pytest.raises(ParameterError, match=message):
        replace(BFV, **changes)


@pytest.mark.parametrize("scale_bits", [None, 9, 61, 40.5, "40"])
def test_ckks_needs_a_scale(scale_bits):
    with pytest.raises(ParameterError, match=r"`scale_bits` must .*\[10, 60\] for CKKS, got"):
        replace(CKKS, scale_bits=scale_bits)


def test_ckks_has_no_plain_modulus():
    with pytest.raises(ParameterError, match="`plain_modulus` must be None for CKKS, got 65537"):
        replace(CKKS, plain_modulus=65537)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"scheme": "bfv"},
        {**BFV.to_dict(), "extra": 1},
        {**BFV.to_dict(), "coeff_modulus_bits": 60},
        [],
        "bfv",
        None,
    ],
)
def test_from_dict_refuses_what_is_no_parameter_set(fields):
    with pytest.raises(ParameterError):
        Parameters.from_dict(fields)


@pytest.mark.parametrize("parameters", [BFV, CKKS])
def test_seal_agrees_about_galois_elements(parameters):
    """Step 1 rotates by 3 in SEAL's convention; a whole turn is the identity."""
    N = parameters.poly_modulus_degree
    assert parameters.galois_element(1) == 3
    assert parameters.galois_element(0) == parameters.galois_element(N // 2) == 1
    assert parameters.galois_element(-1) * 3 % (2 * N) == 1


def test_insecure_parameters_must_be_named():
    tiny = {"poly_modulus_degree": 1024, "coeff_modulus_bits": (40, 60)}
    with pytest.raises(ParameterError, match='security="insecure" for a test'):
        replace(BFV, **tiny)
    context = create_context(replace(BFV, **tiny, security="insecure"))
    assert context.parameters_set()
    assert "insecure" in str(replace(BFV, **tiny, security="insecure"))


def test_the_table_of_2018_has_no_larger_rings():
    with pytest.raises(ParameterError, match=r"`security` must be one whose table has N=65536, got '128-2018'"):
        Parameters("ckks", 65536, (40, 40), scale_bits=20, security="128-2018")
    assert create_context(Parameters("ckks", 65536, (45, 40, 50), scale_bits=40)).parameters_set()
