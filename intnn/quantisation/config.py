"""How many integers each kind of value of a network with tables gets."""

from dataclasses import dataclass

from intnn.values.arrays import integer
from intnn.values.value_object import ValueObject


@dataclass(frozen=True)
class QuantConfig(ValueObject):
    """How many integers each kind of value gets.

    Attributes:
        input_bits: The bits of an input element, 1 to 16. It is unsigned where calibration saw no negative value; a
            signed one has the values -1, 0, 1 at the least.
        activation_bits: The bits of a table's value, 1 to 16; it is signed by the same rule.
        weight_bits: The bits of a weight, 2 to 16, signed and symmetric.
        table_points: The size of a table's domain, 3 to 65537. The cost of a table on ciphertexts grows with it.
        logit_bound: The largest magnitude of an output that no table follows, 1 to 2**31 - 1.

    Raises:
        TypeError: A field is not an integer.
        ValueError: A field is out of its range.
    """

    input_bits: int = 4
    activation_bits: int = 4
    weight_bits: int = 8
    table_points: int = 241
    logit_bound: int = 32767

    def __post_init__(self) -> None:
        for name, low, high in (
            ("input_bits", 1, 16),
            ("activation_bits", 1, 16),
            ("weight_bits", 2, 16),
            ("table_points", 3, 65537),
            ("logit_bound", 1, (1 << 31) - 1),
        ):
            object.__setattr__(self, name, integer(getattr(self, name), name, low, high))
