"""Expanded keys as arrays, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.formats.switching import RELINEARISATION
from he.ring.gadget import Gadget
from he.ring.params import Parameters

PARAMETERS = Parameters("ckks", 1024, (46, 46, 46, 46, 48), scale_bits=40, security="insecure")
ENCODER = Encoder.of(PARAMETERS)
ELEMENTS = [RELINEARISATION, PARAMETERS.galois_element(1), PARAMETERS.galois_element(5), 2047]
GADGETS = [(level, specials) for level in range(1, 5) for specials in range(1, 6 - level)]


@given(st.dictionaries(st.sampled_from(ELEMENTS), st.sampled_from(GADGETS)), st.integers(0, 2**32 - 1))
def test_what_is_restored_is_what_was_there(chosen, seed) -> None:
    rng, made = np.random.default_rng(seed), []
    for element, (level, specials) in chosen.items():
        gadget = Gadget.of(PARAMETERS, level, specials)
        rows = [rng.integers(0, p, (len(gadget.groups), 2, 1024), np.uint64) for p in gadget.primes]
        made.append((element, gadget, np.stack(rows, axis=2)))
    keys = SwitchingKeys.of(ENCODER, made)
    restored = SwitchingKeys.restored(PARAMETERS, keys.arrays())
    assert restored.keys.keys() == keys.keys.keys()
    assert restored.permutations.keys() == keys.permutations.keys() == set(chosen) - {RELINEARISATION}
    for name, key in keys.keys.items():
        again = restored.keys[name]
        assert again.gadget == key.gadget
        assert again.factors.memory is key.factors.memory  # nothing is copied
        assert (again.factors.addresses == key.factors.addresses).all()
        assert (again.by_prime == key.by_prime).all()


@pytest.mark.parametrize("name", ["1.9.1", "1.1.9", "1.0.1", "1", "a.1.1", "1.1.1.1"])
def test_what_are_no_keys_is_refused(name) -> None:
    arrays = {**SwitchingKeys({}, {}).arrays(), name: np.zeros(8, np.uint8)}
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        SwitchingKeys.restored(PARAMETERS, arrays)
