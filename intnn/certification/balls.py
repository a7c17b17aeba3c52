"""Balls around inputs as boxes of the network's integers: all integers that an input in the ball can be rounded to."""

import numpy as np
from numpy.typing import ArrayLike

from intnn.network.network import IntNetwork
from intnn.values.arrays import FloatArray, batched, instance, integer, real, reals
from intnn.values.domain import Interval


def integer_ball(network: IntNetwork, x: ArrayLike, steps: int) -> Interval:
    """The integers that are at most so many steps away from given ones, and in the network's domain.

    Args:
        network: The network.
        x: Integers [n, *network.input_shape] of its domain.
        steps: The radius in integer steps, from 0.

    Returns:
        The box around every input, [n, *network.input_shape].

    Raises:
        TypeError: ``network`` is no `IntNetwork`, or ``x`` holds no integers.
        ValueError: ``x`` leaves the domain or has another shape, or ``steps`` is negative.
    """
    domain = instance(network, IntNetwork, "network").input_domain
    centre = batched(domain.require(x, "x"), network.input_shape, "x")
    steps = min(integer(steps, "steps", 0), domain.size - 1)
    return Interval(
        np.maximum(centre, domain.lo + steps) - steps, np.minimum(centre, domain.hi - steps) + steps
    )  # without an overflow at the ends of int64  # fmt: skip


def real_ball(
    network: IntNetwork, images: ArrayLike, radius: float, least: float = 0.0, greatest: float = 1.0
) -> Interval:
    """What `IntNetwork.quantise_input` makes of an Linf ball of real inputs: the smallest box that holds all of it.

    The ball of an image x holds every float64 v with x - radius <= v <= x + radius, as real numbers, in [least,
    greatest]. Its ends are the outermost such floats: sums are rounded to the nearest, and corrected by their exact
    error (Knuth's two-sum) where that left the ball. Scaling, rounding and saturating never fall, so that the integers
    of the ends hold those of everything between them, and are reached themselves.

    Args:
        network: The network; its input has one scale, or one for each feature.
        images: Floats [n, *network.input_shape] in [least, greatest]; float32 counts as the float64 that it is.
        radius: The radius, in the units of the images, from 0.
        least: What no input is below.
        greatest: What no input is above.

    Returns:
        The box around every input, [n, *network.input_shape].

    Raises:
        TypeError: ``network`` is no `IntNetwork`, or ``images`` holds no floats.
        ValueError: An image is outside [least, greatest], these are not finite or not in order, ``radius`` is negative
            or not finite, or `IntNetwork.quantise_input` refuses the images.

    Warns:
        UserWarning: What `IntNetwork.quantise_input` warns of.
    """
    x = batched(reals(images, "images"), instance(network, IntNetwork, "network").input_shape, "images")
    radius, least, greatest = real(radius, "radius"), real(least, "least"), real(greatest, "greatest")
    if not 0 <= radius < np.inf:
        raise ValueError(f"`radius` must be from 0 and finite, got {radius}")
    if not -np.inf < least <= greatest < np.inf:
        raise ValueError(f"`least` and `greatest` must be finite and in order, got {least} and {greatest}")
    if not (least <= x.min() and x.max() <= greatest):  # false for NaN, too
        raise ValueError(f"`images` must lie in [{least}, {greatest}], got [{x.min()}, {x.max()}]")
    low, high = np.maximum(-_below(-x, radius), least), np.minimum(_below(x, radius), greatest)
    network.quantise_input(x)  # which may warn of the scale of images: their balls may have any
    return Interval(network.round_input(low), network.round_input(high))


def _below(x: FloatArray, radius: float) -> FloatArray:
    """The largest floats that are at most x + radius."""
    total = x + radius
    part = total - x
    error = (x - (total - part)) + (radius - part)  # x + radius = total + error, exactly
    return np.where(error < 0, np.nextafter(total, -np.inf), total)
