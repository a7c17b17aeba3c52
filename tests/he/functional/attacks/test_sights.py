import numpy as np

from he.functional.attacks.sights import Watch
from intnn.values.domain import IntDomain
from tests.he.functional.protocols.sources import Clear


def test_a_watch_changes_nothing_and_keeps_what_passes() -> None:
    draw = np.random.default_rng(0)
    x, weights, errors = (
        draw.integers(0, 17, (6, 5)),
        draw.integers(-9, 10, (2, 4, 5)),
        draw.integers(-9, 10, (2, 4, 3)),
    )
    watch = Watch(Clear(x), lambda batch: Clear(x[3 * batch : 3 * batch + 3].T), IntDomain(0, 16))
    for batch in range(2):
        here = x[3 * batch : 3 * batch + 3]
        assert np.array_equal(watch.forward.products(weights[batch], 3 * batch, 3 * batch + 3), here @ weights[batch].T)
        assert len(watch.sights) == batch  # an update is seen when its gradient is
        assert np.array_equal(watch.gradient(batch).products(errors[batch], 0, 5), here.T @ errors[batch].T)
    assert [sight.batch for sight in watch.sights] == [0, 1]
    for batch, sight in enumerate(watch.sights):
        here = x[3 * batch : 3 * batch + 3]
        assert np.array_equal(sight.forward.keys, weights[batch])
        assert sight.forward.agrees(here).all()
        assert np.array_equal(sight.gradient.keys, errors[batch])
        assert sight.gradient.agrees(here.T).all()


def test_keys_that_the_trainer_changes_later_were_seen_as_they_were() -> None:
    watch = Watch(Clear(np.eye(2, dtype=int)), lambda _: Clear(np.eye(2, dtype=int)), IntDomain(0, 1))
    weights = np.array([[1, 2]])
    watch.forward.products(weights, 0, 2)
    watch.gradient(0).products(weights, 0, 2)
    weights[:] = 9
    assert watch.sights[0].forward.keys.tolist() == [[1, 2]]
