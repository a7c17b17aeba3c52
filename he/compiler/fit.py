"""A program with the parameters that were found for it, and the limits of the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from he.program.program import Program
from he.ring.gadget import Gadgets
from he.ring.params import Parameters

MAX_PRIMES = 16  # the most data primes; 128-bit security admits as many of 50 bits, and 2^-800 is still a float64
MAX_CHAIN_BITS = 50  # the most bits of a prime, whose residues float64 pairs and 52-bit multipliers multiply exactly


class State(Protocol):
    """What placing a program knows of a value: its level, and its noise or its scale."""

    @property
    def level(self) -> int:
        """The number of data primes."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A program with the parameters that were found for it.

    Attributes:
        program: the program, placed for the parameters.
        parameters: the parameters under which its bound is accepted.
        bound: for BFV, a lower bound on the noise budget that is left, in bits; for CKKS, an upper bound on the error
            of a logit.
        tolerance: the largest difference between copies of a logit that a client is to accept; 0 for BFV.
        output_scale: the scale of the result; 1 for BFV.
        place: places another program of the same depth for the same parameters, without a look at its bound; or a part
            of a program, whose inputs are in the given state.
        states: returns the state of every value of another program that has not been placed.
        bound_with: returns the bound that holds for keys switched by gadgets and by one special prime alike; None if it
            is not accepted.
        again: fits another program to the same parameters; None if its bound is not accepted.
        guard_scales: the scale of every guard.
    """

    program: Program
    parameters: Parameters
    bound: float
    tolerance: float
    output_scale: float
    place: Callable[..., Program]
    states: Callable[[Program], Sequence[State]]
    bound_with: Callable[[Gadgets], float | None]
    again: Callable[[Program], Fit | None]
    guard_scales: tuple[float, ...] = ()


def least(accepted: Callable[[int], bool], guess: int, low: int, high: int) -> int | None:
    """Return the least accepted number in [low, high], None if there is none; all numbers above it are accepted too.

    The search begins at the guess, goes away from it in steps that double, and is short if the guess is near.
    """
    guess = min(max(guess, low), high)
    refused, taken, step = low - 1, high + 1, 1  # the least accepted number lies above the one, and up to the other
    if accepted(guess):
        taken = guess
        while taken - step > refused and accepted(taken - step):
            taken, step = taken - step, 2 * step
        refused = max(refused, taken - step)
    else:
        refused = guess
        while refused < high and not accepted(min(refused + step, high)):
            refused, step = min(refused + step, high), 2 * step
        taken = min(refused + step, taken)
    while taken - refused > 1:
        middle = (taken + refused) // 2
        taken, refused = (middle, refused) if accepted(middle) else (taken, middle)
    return taken if taken <= high else None
