"""The owners of data: they encrypt, once, and may be gone when keys are issued."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from he.formats.messages import Kind, MessageError
from he.functional.errors import MismatchError
from he.functional.instance import SchemeName
from he.functional.messages import number, opened, require_name, seal
from he.functional.scheme import MOST_SAMPLES, Ciphertext, PublicKey, Scheme
from he.functional.schemes import scheme
from intnn.values.arrays import IntArray, integer
from intnn.values.value_object import ValueObject

#: The samples of a block, unless the owner asks for others: as many as an RLWE ciphertext holds side by side.
BLOCK_SAMPLES = 4096
_MOST_BLOCKS = 1 << 32

Schemes = Callable[[SchemeName], Scheme]


@dataclass(frozen=True, eq=False)
class Block(ValueObject):
    """Some of an owner's encrypted samples.

    Attributes:
        owner: The owner's name.
        number: Which of his blocks it is, from 0 on.
        ciphertext: The samples.
    """

    owner: str
    number: int
    ciphertext: Ciphertext

    def __post_init__(self) -> None:
        require_name(self.owner, "owner")
        object.__setattr__(self, "number", integer(self.number, "number", 0, _MOST_BLOCKS))

    def to_bytes(self) -> bytes:
        """The block as a message. The owner's name in it is a claim: use a transport that authenticates owners."""
        fields = {"owner": self.owner, "number": self.number}
        return seal(Kind.FUNCTIONAL_BLOCK, self.ciphertext.instance, fields, [self.ciphertext.to_bytes()])

    @staticmethod
    def from_bytes(data: bytes, schemes: Schemes = scheme) -> Block:
        """Read a block.

        Raises:
            MessageError: The message is damaged, or no block.
            MismatchError: The ciphertext in it is of another instance than the block.
        """
        instance, fields, parts = opened(Kind.FUNCTIONAL_BLOCK, data, names=("owner", "number"))
        if len(parts) != 1:
            raise MessageError(f"a block must have one part, got {len(parts)}")
        ciphertext = schemes(instance.scheme).types.ciphertext.from_bytes(bytes(parts[0]))
        if ciphertext.instance != instance:
            raise MismatchError(f"a block of instance {instance.id} must hold one of its ciphertexts")
        try:
            owner = require_name(fields["owner"], "owner")
        except (TypeError, ValueError) as error:
            raise MessageError(f"the header of the message is wrong: {error}") from error
        return Block(owner, number(fields, "number", _MOST_BLOCKS, least=0), ciphertext)


class Owner:
    """Who encrypts data for an instance.

    He trusts the authority, and nobody else: what a trainer learns of his samples is what the authority issues keys
    for, whatever the trainer and other owners do.

    Args:
        name: His name, of 1 to 200 printable letters, which no other owner of the instance has.
        public_key: The instance's public key, or its bytes.
        first_block: The number of his next block, if he has sent others.
        first_sample: The number of his next sample among all samples of the instance, if he has sent others. Where
            owners share an instance of several batches (`he.functional.parties.books.Opening`), each begins where the
            one before him ends, and samples that are encrypted again keep their numbers: by another `Owner` that
            begins with them. Under other numbers they would have the budget of other batches, too; and owners who begin
            with one number share accounts, so that what is asked of one counts for the other, and what is said to be
            known of samples is said of the wrong ones. Nobody else can see it.
        schemes: What implements a scheme, by its name.

    Raises:
        TypeError: An argument is of another type.
        ValueError: It is no name or number.
        MessageError: The bytes are no public key.
    """

    def __init__(
        self,
        name: str,
        public_key: PublicKey | bytes,
        first_block: int = 0,
        first_sample: int = 0,
        schemes: Schemes = scheme,
    ) -> None:
        self.name = require_name(name, "name")
        self.public_key = public_key_from_bytes(public_key, schemes) if isinstance(public_key, bytes) else public_key
        self._next = integer(first_block, "first_block", 0, _MOST_BLOCKS)
        self._next_sample = integer(first_sample, "first_sample", 0, MOST_SAMPLES)
        self._scheme = schemes(self.public_key.instance.scheme)

    def encrypt(self, x: ArrayLike, block_samples: int = BLOCK_SAMPLES) -> Iterator[Block]:
        """Encrypt samples, int64 [samples, length], as blocks, made one by one, of at most ``block_samples`` samples.

        Raises:
            TypeError: They are no integers.
            ValueError: Their shape or a value is wrong, or there are none.
        """
        rows = self.public_key.instance.require_inputs(x)
        step = integer(block_samples, "block_samples", 1)
        return (self._block(rows[at : at + step]) for at in range(0, len(rows), step))

    def _block(self, rows: IntArray) -> Block:
        block = Block(self.name, self._next, self._scheme.encrypt(self.public_key, rows, self._next_sample))
        self._next, self._next_sample = self._next + 1, self._next_sample + len(rows)
        return block


def public_key_from_bytes(data: bytes, schemes: Schemes = scheme) -> PublicKey:
    """A public key of any scheme.

    Raises:
        MessageError: The message is damaged, or no public key.
        TypeError: ``data`` is no bytes.
    """
    instance, _, _ = opened(Kind.FUNCTIONAL_PUBLIC, data, names=None)
    return schemes(instance.scheme).types.public_key.from_bytes(data)


def arranged(blocks: Iterable[Block], owners: Sequence[str]) -> list[Ciphertext]:
    """The ciphertexts of several owners one behind the other, in the order of owners and of their blocks.

    Args:
        blocks: All blocks, in any order.
        owners: The names of those whose blocks they must be.

    Raises:
        MismatchError: Two owners have one name or a block is there twice, one is missing, its owner is not named, or
            blocks are of different instances.
    """
    blocks = list(blocks)
    found = Counter((block.owner, block.number) for block in blocks)
    (owner, number), times = max(found.items(), key=lambda item: item[1], default=(("", 0), 1))
    if times > 1:
        raise MismatchError(f"block {number} of owner {owner!r} is there {times} times, or two owners have one name")
    if len({block.ciphertext.instance for block in blocks}) > 1:
        raise MismatchError("all blocks must belong to one instance, got several; arrange those of one at a time")
    numbers = {name: sorted(number for owner, number in found if owner == name) for name in owners}
    if len(numbers) != len(owners) or {owner for owner, _ in found} != set(owners):
        raise MismatchError(f"`owners` must name each whose blocks they are once, got {list(owners)!r:.200}")
    for name, present in numbers.items():
        if present != list(range(len(present))):
            raise MismatchError(f"blocks of owner {name!r} are missing, got numbers {present!s:.100}")
    order = {name: place for place, name in enumerate(owners)}
    return [block.ciphertext for block in sorted(blocks, key=lambda block: (order[block.owner], block.number))]
