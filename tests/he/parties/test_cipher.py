"""Pairs of numbers in slots come back at any scale and level, and only from what needs a key."""

from dataclasses import replace

import numpy as np
import pytest

from he.formats import compact
from he.formats.compact import Form
from he.formats.seal_bytes import CiphertextArray, SealDataError
from he.parties.cipher import PairCipher
from he.parties.keys import SecretKey
from he.ring.params import Parameters

PARAMETERS = Parameters("ckks", 1024, (50, 30, 30, 50), scale_bits=25, security="insecure")
CIPHER = PairCipher(SecretKey.generate(PARAMETERS))


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("bits", [25, 32])
def test_pairs_come_back(level, bits):
    generator = np.random.default_rng(level)
    slots = generator.uniform(-3, 3, (2, PARAMETERS.row_length))
    form = replace(Form.fresh(PARAMETERS), scale=2.0**bits)
    (made,) = CIPHER.encrypt(slots[:1] + 1j * slots[1:], form)
    read = compact.read(made, form)
    short = Form.result(PARAMETERS, level, form.scale)
    residues = np.ascontiguousarray(read.residues[:, :level])
    data = compact.write(CiphertextArray(residues, True, short.scale, None), short)
    error = np.abs(CIPHER.decrypt(data, short) - slots).max()
    assert error < 1000 / 2.0**bits
    with pytest.raises(SealDataError):
        CIPHER.decrypt(data[:-1], short)


@pytest.mark.parametrize("count", [1, 5, 512])
@pytest.mark.parametrize("level", [1, 3])
def test_packed_pairs_come_back(count, level):
    pairs = np.random.default_rng(count).uniform(-3, 3, (count, 2))
    seeded = replace(Form.fresh(PARAMETERS, level), scale=2.0**30)
    read = compact.read(CIPHER.encrypt_packed(pairs, seeded), seeded)
    form = Form.result(PARAMETERS, level, seeded.scale)
    data = compact.write(CiphertextArray(read.residues, True, form.scale, None), form)
    assert np.abs(CIPHER.decrypt_packed(data, form, count) - pairs).max() < 23 / 2.0**30


def test_what_needs_no_key_is_refused():
    form = Form.result(PARAMETERS, 1, 2.0**25)
    with pytest.raises(SealDataError, match="legible without a key"):
        CIPHER.decrypt(bytes(form.bytes), form)
    with pytest.raises(SealDataError, match="legible without a key"):
        CIPHER.decrypt_packed(bytes(form.bytes), form, 3)
