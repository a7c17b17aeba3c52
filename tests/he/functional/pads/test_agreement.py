import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from he.functional.errors import MismatchError
from he.functional.pads.agreement import Secret

secrets = st.binary(min_size=32, max_size=32)
ID, OTHER_ID = "0" * 32, "0" * 31 + "1"

#: First coordinates of points of small order (RFC 7748, section 6.1, has the check for them), and the same above p.
SMALL = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    2**255 - 20,
    2**255 - 19,
    2**255 - 18,
]


@given(secrets, secrets)
def test_both_sides_agree(owner: bytes, authority: bytes) -> None:
    header, public = Secret(owner).public, Secret(authority).public
    key = Secret(owner).agreed(public, header, public, ID)
    assert key == Secret(authority).agreed(header, header, public, ID)
    assert len(key) == 32


@given(secrets, secrets, secrets)
def test_what_is_agreed_depends_on_all_that_is_named(owner: bytes, authority: bytes, other: bytes) -> None:
    header, public, third = Secret(owner).public, Secret(authority).public, Secret(other).public
    named = {(header, public, ID), (header, public, OTHER_ID), (third, public, ID), (header, third, ID)}
    keys = {Secret(owner).agreed(public, *names) for names in named}
    assert len(keys) == len(named)


@given(secrets, secrets)
def test_another_form_of_a_header_names_another_pad(owner: bytes, authority: bytes) -> None:
    """The highest bit does not count for X25519: whoever changes it must not get a second key to one pad."""
    header, public = Secret(owner).public, Secret(authority).public
    other = header[:31] + bytes([header[31] ^ 0x80])
    secret = X25519PrivateKey.from_private_bytes(authority)
    both = [secret.exchange(X25519PublicKey.from_public_bytes(form)) for form in (header, other)]
    assert both[0] == both[1]
    assert Secret(authority).agreed(header, header, public, ID) != Secret(authority).agreed(other, other, public, ID)


@pytest.mark.parametrize("point", SMALL)
def test_keys_of_small_order_are_refused(point: int) -> None:
    small = point.to_bytes(32, "little")
    with pytest.raises(MismatchError, match="small order"):
        Secret(b"s" * 32).agreed(small, small, small, ID)
