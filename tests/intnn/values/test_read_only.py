"""JSON that cannot be changed."""

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn.values.read_only import read_only

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
CHANGES = {
    dict: [
        lambda d: d.update(a=1), lambda d: d.clear(), lambda d: d.pop("a"), lambda d: d.popitem(),
        lambda d: d.setdefault("b"), lambda d: d.__setitem__("a", 1), lambda d: d.__delitem__("a"),
        lambda d: d.__ior__({}),
    ],
    list: [
        lambda a: a.append(1), lambda a: a.extend([]), lambda a: a.insert(0, 1), lambda a: a.remove(1),
        lambda a: a.pop(), lambda a: a.clear(), lambda a: a.sort(), lambda a: a.reverse(),
        lambda a: a.__setitem__(0, 1), lambda a: a.__delitem__(0), lambda a: a.__iadd__([]), lambda a: a.__imul__(2),
    ],
}  # fmt: skip


def containers(value):
    """All dictionaries and lists of a value."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


@given(values)
def test_it_is_equal_and_nothing_changes_it(value):
    kept = read_only(value)
    before = json.dumps(value)
    for container in containers(kept):
        for change in CHANGES[dict if isinstance(container, dict) else list]:
            with pytest.raises(TypeError, match="cannot be changed"):
                change(container)
    assert kept == value
    assert json.dumps(kept) == before


@given(values)
def test_copies_are_plain(value):
    for again in (copy.deepcopy(read_only(value)), pickle.loads(pickle.dumps(read_only(value)))):
        assert again == value
        assert all(type(container) in (dict, list) for container in containers(again))


def test_no_method_of_pythons_own_is_forgotten():
    """What changes a dictionary or a list is not in a mapping proxy or a tuple."""
    for kind, fixed in ((dict, type(type.__dict__)), (list, tuple)):
        mutable = {*dir(kind)} - {*dir(fixed)} - {"copy", "__reversed__", "fromkeys"}
        assert mutable <= {*vars(type(read_only(kind())))}
