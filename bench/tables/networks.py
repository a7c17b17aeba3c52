"""Which shipped networks the table evaluates under encryption."""

from collections.abc import Mapping
from types import MappingProxyType

#: The networks of each path, as suffixes to the name of the data set.
NETWORKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"exact": ("table-mlp", "table-cnn"), "ckks": ("square-cnn",)}
)
