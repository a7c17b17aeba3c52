import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.functional.attacks.elimination import rank
from he.functional.attacks.master import secrets_from_keys
from he.functional.instance import Instance
from he.functional.rlwe.parameters import parameters
from he.functional.rlwe.scheme import SCHEME
from intnn.testing import int_arrays
from intnn.values.domain import IntDomain


@given(st.data())
def test_as_many_independent_keys_as_vectors_are_long_give_all_secrets(data) -> None:
    length = data.draw(st.integers(1, 6))
    limit = data.draw(st.sampled_from([1, 1000, 2**30 - 2]))
    secrets = data.draw(int_arrays((length, 4), -limit, limit))
    y = data.draw(int_arrays((data.draw(st.integers(1, length + 2)), length), -127, 127))
    if rank(y) == length:
        assert np.array_equal(secrets_from_keys(y, y @ secrets, limit), secrets)
    else:
        with pytest.raises(ValueError, match=f"must determine all {length} secrets"):
            secrets_from_keys(y, y @ secrets, limit)


def test_one_key_less_is_not_enough() -> None:
    draw = np.random.default_rng(0)
    y, secrets = draw.integers(-127, 128, (64, 64)), draw.integers(-500, 501, (64, 16))
    assert np.array_equal(secrets_from_keys(y, y @ secrets, 1000), secrets)
    with pytest.raises(ValueError, match="determine all 64 secrets, got 0 of them"):
        secrets_from_keys(y[:63], y[:63] @ secrets, 1000)


def test_functional_keys_of_the_lattice_scheme_give_its_master_key() -> None:
    instance = Instance("rlwe", 6, IntDomain(0, 3))
    master, _ = SCHEME.setup(instance)
    y = np.random.default_rng(0).integers(-127, 128, (6, 6))
    key, bound = SCHEME.derive_key(master, y), parameters(instance).secrets.bound
    assert np.array_equal(secrets_from_keys(key.y, key.keys, bound), master.secrets)
    with pytest.raises(ValueError, match="determine all 6 secrets"):
        secrets_from_keys(key.y[:5], key.keys[:5], bound)


def test_keys_of_other_secrets_are_refused() -> None:
    with pytest.raises(ValueError, match="no solution in"):
        secrets_from_keys([[2]], [[1]], 1000)
    with pytest.raises(ValueError, match="`limit` must lie in"):
        secrets_from_keys([[1]], [[1]], 2**30 - 1)
