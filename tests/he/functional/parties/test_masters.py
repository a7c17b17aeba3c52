"""Master keys in memory: within their bytes, and those that were used last."""

from hypothesis import given
from hypothesis import strategies as st

from he.functional.parties.masters import Masters

names = st.integers(0, 9)


@given(st.lists(names, max_size=40), st.lists(st.integers(1, 9), min_size=10, max_size=10), st.integers(0, 30))
def test_the_last_used_are_kept_within_their_bytes(asked, sizes, most):
    read = []

    def reading(name):
        read.append(name)
        return f"key {name}", sizes[int(name)]

    masters, kept = Masters(reading, most), []
    for name in map(str, asked):
        expected = [] if name in kept else [name]
        read.clear()
        assert masters[name] == f"key {name}"
        assert read == expected
        kept = [other for other in kept if other != name] + [name]
        while sum(sizes[int(other)] for other in kept) > most and len(kept) > 1:
            kept.pop(0)
        assert len(masters) == len(kept)
