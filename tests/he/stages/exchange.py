"""What tests of the stages share."""

from pathlib import Path

from he import Policy
from he.testing import table_network

POLICY = Policy(security="insecure")
NETWORK, SALT = table_network(), bytes(range(32))


def tree(folder):
    """All files with their bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
