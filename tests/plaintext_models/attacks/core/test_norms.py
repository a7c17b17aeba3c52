"""Lengths, projections onto ball and box, steepest directions: against their definitions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.core.ball import NORMS
from plaintext_models.attacks.core.norms import lengths, project, random_point, steepest

norms = st.sampled_from(NORMS)
DUAL = {"l1": "linf", "l2": "l2", "linf": "l1"}
ROUNDING = 1e-9  # of float64, on sums of 40 elements up to 30


@st.composite
def problems(draw):
    """Centres in a box, some elements at its walls; points anywhere, some of them in ball or box; a radius each."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 20)))
    low, high = draw(st.sampled_from(((0.0, 1.0), (-1.0, 2.0))))
    images = low + (high - low) * (1.5 * torch.rand(shape, generator=generator, dtype=torch.float64) - 0.25).clamp(0, 1)
    moves = torch.randn(shape, generator=generator, dtype=torch.float64) * draw(st.sampled_from((0.01, 0.5, 10.0)))
    if draw(st.booleans()):
        moves = moves.sign() * 0.5  # ties
    moves = moves * (torch.rand(shape, generator=generator) < draw(st.sampled_from((0.3, 1.0))))
    radii = torch.rand(shape[0], generator=generator, dtype=torch.float64) * draw(
        st.sampled_from((0.0, 0.3, 2.0, 30.0))
    )
    return images, images + moves, radii, (low, high), generator


def inside(points, images, norm, radii, bounds):
    return ((points >= bounds[0]) & (points <= bounds[1])).flatten(1).all(1) & (
        lengths(points - images, norm) <= radii + ROUNDING
    )


@settings(max_examples=200)
@given(problems(), norms)
def test_projects_into_ball_and_box_and_no_further(problem, norm):
    images, moved, radii, bounds, _ = problem
    projected = project(images, moved, norm, radii, bounds)
    assert inside(projected, images, norm, radii, bounds).all()
    torch.testing.assert_close(project(images, projected, norm, radii, bounds), projected, rtol=0, atol=ROUNDING)
    already = inside(moved, images, norm, radii - 2 * ROUNDING, bounds)
    torch.testing.assert_close(projected[already], moved[already], rtol=0, atol=ROUNDING)


@settings(max_examples=200)
@given(problems(), norms)
def test_no_feasible_point_is_nearer(problem, norm):
    images, moved, radii, bounds, generator = problem
    projected = project(images, moved, norm, radii, bounds)
    for spread in (0.001, 0.1, 3.0):
        for centre in (projected, images, moved):
            # any point, drawn back to the centre until it is feasible
            tried = centre + spread * torch.randn(images.shape, generator=generator, dtype=images.dtype)
            step = tried.clamp(*bounds) - images
            shrink = (radii / lengths(step, norm).clamp_min(1e-30)).clamp_max(1)
            rival = images + step * shrink[:, None, None]
            # it lies beyond the plane through the projection that the way there is at right angles to
            way, aside = (moved - projected).flatten(1), (rival - projected).flatten(1)
            assert ((way * aside).sum(1) <= ROUNDING * 100).all()
            assert (lengths(moved - projected, "l2") <= lengths(moved - rival, "l2") + ROUNDING * 100).all()


@given(problems(), norms)
def test_float32_stays_in_the_ball_up_to_its_rounding(problem, norm):
    images, moved, radii, bounds, _ = problem
    images, moved, radii = images.float(), moved.float(), radii.float()
    projected = project(images, moved, norm, radii, bounds)
    assert projected.dtype == torch.float32
    assert ((projected >= bounds[0]) & (projected <= bounds[1])).all()
    assert (lengths(projected - images, norm) <= radii * (1 + 1e-5) + 1e-6 * images[0].numel()).all()


@pytest.mark.parametrize("norm", NORMS)
def test_one_radius_serves_all(norm):
    images, moved = torch.full((3, 4), 0.5), torch.tensor([[2.0, 0.5, -1.0, 0.6]]).expand(3, 4)
    one = project(images, moved, norm, 0.7, (0.0, 1.0))
    assert torch.equal(one, project(images, moved, norm, torch.full((3,), 0.7), (0.0, 1.0)))
    # steps of 1.5, 0, -1.5 and 0.1, by hand: all clipped to 0.7 and the box; all times 0.3296; all less 1.15
    expected = {"linf": [1.0, 0.5, 0.0, 0.6], "l2": [0.99443, 0.5, 0.00557, 0.53296], "l1": [0.85, 0.5, 0.15, 0.5]}
    torch.testing.assert_close(one[0], torch.tensor(expected[norm]), rtol=0, atol=1e-5)


@given(problems(), norms)
def test_nothing_moves_within_no_radius(problem, norm):
    images, moved, _, bounds, _ = problem
    assert torch.equal(project(images, moved, norm, 0, bounds), images)


@given(problems(), norms, st.floats(0, 5), st.integers(0, 9))
def test_random_points_are_in_the_ball(problem, norm, radius, seed):
    images, _, _, bounds, _ = problem
    points, again = (random_point(images, norm, radius, bounds, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert inside(points, images, norm, radius + 1e-6, bounds).all()  # float32 draws
    assert torch.equal(points, again)
    assert points.dtype == images.dtype


@pytest.mark.parametrize("norm", NORMS)
def test_random_points_fill_the_ball(norm):
    # of points uniform in a ball of 3 dimensions, an eighth lies within half the radius
    points = random_point(torch.zeros(20_000, 3), norm, 2.0, (-9, 9), torch.Generator().manual_seed(0))
    near = (lengths(points, norm) <= 1).double().mean()
    assert abs(near - 1 / 8) < 0.01  # four standard deviations
    assert points.mean(0).abs().max() < 0.04


@given(problems(), norms)
def test_steepest_directions_have_length_one_and_rise_most(problem, norm):
    images, moved, _, _, generator = problem
    gradients = moved - images
    direction = steepest(gradients, norm)
    flat = gradients.flatten(1)
    nonzero = flat.any(1)
    whole = (flat != 0).all(1) if norm == "l1" else nonzero
    torch.testing.assert_close(lengths(direction, norm)[whole], torch.ones_like(direction[whole].flatten(1)[:, 0]))
    rise = (flat * direction.flatten(1)).sum(1)
    # what no direction of length 1 exceeds is the dual norm; one element of 40 is all that L1 moves
    torch.testing.assert_close(rise[nonzero], lengths(gradients, DUAL[norm])[nonzero])
    others = torch.randn(gradients.shape, generator=generator, dtype=gradients.dtype)
    others = others / lengths(others, norm)[:, None, None]
    assert ((flat * others.flatten(1)).sum(1) <= rise + ROUNDING).all()
    assert not direction[~nonzero].any()


@pytest.mark.parametrize(("sparsity", "count"), [(0.99, 2), (0.9, 20), (0.0, 200), (1.0, 1)])
def test_sparse_steps_share_the_length(sparsity, count):
    gradients = torch.randn(3, 2, 100, generator=torch.Generator().manual_seed(0))
    direction = steepest(gradients, "l1", sparsity).flatten(1)
    torch.testing.assert_close(lengths(direction, "l1"), torch.ones(3))
    for row, slope in zip(direction, gradients.flatten(1), strict=True):
        chosen = row.nonzero().flatten()
        assert set(chosen.tolist()) == set(slope.abs().topk(count).indices.tolist())
        torch.testing.assert_close(row[chosen], slope[chosen].sign() / count)


def test_lengths():
    perturbations = torch.tensor([[[3.0, -4.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    found = {norm: lengths(perturbations, norm).tolist() for norm in ("l0", *NORMS)}
    assert found == {"l0": [2, 0], "l1": [7, 0], "l2": [5, 0], "linf": [4, 0]}


@given(st.integers(0, 2**32), st.integers(-37, 37))
def test_lengths_of_any_scale(seed, exponent):
    values = torch.randn(3, 20, generator=torch.Generator().manual_seed(seed)) * 10.0**exponent
    values[1] = 0
    exact = torch.linalg.vector_norm(values.double(), dim=1)
    torch.testing.assert_close(lengths(values, "l2").double(), exact, rtol=1e-6, atol=0)
    assert lengths(values, "l2").dtype == torch.float32


def test_lengths_of_what_is_not_finite():
    values = torch.tensor([[torch.inf, 1.0], [torch.nan, 1.0], [3e38, 3e38]])
    assert lengths(values[:2], "l2").isfinite().sum() == 0
    assert lengths(values, "l2")[2].isinf()
