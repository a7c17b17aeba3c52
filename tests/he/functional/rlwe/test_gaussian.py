"""Discrete Gaussians: their table, their sums, and what comes of a seed."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from he.functional.rlwe import reference
from he.functional.rlwe.gaussian import (
    AT_ONCE,
    BASE_DISTANCE,
    BASE_VARIANCE,
    SPREAD,
    Gaussian,
    Source,
    gaussian,
    table,
    thresholds,
)
from he.kernels.passes.functional import GROUP, gaussian_sums

FALSE_ALARM = 1e-6  # the chance that a test of random numbers would fail, were its seed not fixed
WHOLE = 1 << 122  # what thresholds are fractions of
PRECISION = 400  # bits


def weights(count: int) -> list[int]:
    """2^400 exp(-k^2 / 81.92) for k below a count, off by less than 2^20: powers of exp(-25 / 2048), by its series."""
    one = 1 << PRECISION
    term, step, i = one, 0, 0
    while term not in (0, -1):
        step, i = step + term, i + 1
        term = -term * 25 // (2048 * i)
    found, odd = [one], step  # exp(-k^2 c) = exp(-(k - 1)^2 c) exp(-(2 k - 1) c)
    for _ in range(count - 1):
        found.append(found[-1] * odd >> PRECISION)
        odd = odd * step * step >> 2 * PRECISION
    return found


def test_thresholds_are_the_law_rounded():
    law = weights(200)
    doubled = [law[0], *(2 * weight for weight in law[1:])]
    total, found = sum(doubled), thresholds()
    for i, threshold in enumerate(found, 1):
        tail = sum(doubled[i:])
        assert abs(threshold * total - tail * WHOLE) * 2 <= total + (total >> 100)
    assert list(found) == sorted(set(found), reverse=True)
    assert 2 * WHOLE * sum(doubled[len(found) + 1 :]) < total  # what is cut off has a probability below 2^-123
    drawn = [WHOLE - found[0], *(a - b for a, b in zip(found, (*found[1:], 0), strict=True))]
    padded = drawn + [0] * (len(doubled) - len(drawn))
    distance = sum(abs(a * total - b * WHOLE) for a, b in zip(padded, doubled, strict=True))
    assert distance <= 2 * Fraction(BASE_DISTANCE) * WHOLE * total
    assert BASE_DISTANCE < 2**-116


def test_the_table_has_the_upper_bits_of_thresholds_and_what_words_come_to():
    entries, found = table().tolist(), thresholds()
    assert entries == sorted(set(entries))
    assert [entry >> 6 for entry in reversed(entries)] == [t >> 64 for t in found if t >> 64]
    assert [entry & 63 for entry in reversed(entries)] == list(range(len(entries)))
    assert len({entry >> 6 for entry in entries}) == len(entries) < 64 < len(found)


def test_a_sum_has_the_law_that_it_shall_have():
    """The exact law of x_1 + c x_2, c as large as allowed, against the Gaussian: a distance below 2^-81."""
    with localcontext() as context:
        context.prec = 60
        multiplier = math.isqrt(SPREAD)
        one = {x: (-Decimal(x * x) / (2 * Decimal("40.96"))).exp() for x in range(-120, 121)}
        variance = Decimal("40.96") * (1 + multiplier**2)
        reach = 120 * (1 + multiplier)
        expected = [(-Decimal(z * z) / (2 * variance)).exp() for z in range(-reach, reach + 1)]
        found = [Decimal(0)] * (2 * reach + 1)
        for x, p in one.items():
            for y, q in one.items():
                found[x + multiplier * y + reach] += p * q
        total, whole = sum(found), sum(expected)
        distance = sum(abs(a / total - b / whole) for a, b in zip(found, expected, strict=True)) / 2
        assert 0 < distance < Decimal(2) ** -81


@given(st.integers(1, 2**80))
def test_laws_are_as_wide_as_asked_and_little_wider(multiple):
    law = gaussian(multiple)
    assert law.multiple >= multiple
    assert law.multiple - multiple <= 2 * math.isqrt(multiple)
    assert law.multipliers[0] == 1
    for i, c in enumerate(law.multipliers[1:], 1):
        before = sum(m * m for m in law.multipliers[:i])
        assert c * c <= SPREAD * before
        t2 = BASE_VARIANCE / (1 + c * c / before)
        assert 2 * math.exp(-2 * math.pi**2 * t2) < 2**-82
    assert law.deviation == pytest.approx(6.4 * math.sqrt(law.multiple))
    assert law.bound == len(thresholds()) * sum(law.multipliers)
    assert law.distance == pytest.approx(len(law.multipliers) * 2**-81)
    assert law.distance < 2**-75


def edges() -> list[int]:
    """Words of either sign near all thresholds and the ends."""
    upper = {u + d for u in (0, 1 << 58, *(t >> 64 for t in thresholds())) for d in (-1, 0, 1)}
    return [u << 6 | low for u in upper if 0 <= u < 1 << 58 for low in (0, 1, 62, 63)]


@given(st.data(), st.integers(1, 3), st.lists(st.integers(1, 2**40), min_size=1, max_size=6))
def test_sums_are_those_of_the_reference_where_words_decide(data, groups, multipliers):
    count = GROUP * groups
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    uniform = rng.integers(0, 1 << 64, (len(multipliers), count), np.uint64)
    uniform[rng.random((len(multipliers), count)) < 0.1] = data.draw(st.sampled_from(edges()))
    out, closest = np.full(count, 77, np.int64), np.full(8, 2**64 - 1, np.uint64)
    gaussian_sums(uniform, table(), np.array(multipliers), out, closest)
    upper = {0, *(t >> 64 for t in thresholds())}
    assert (closest == 0).any() == any(word >> 6 in upper for word in uniform.ravel().tolist())
    if closest.all():
        assert out.tolist() == reference.gaussian_sums(uniform.tolist(), thresholds(), multipliers, never)


def never() -> int:
    raise AssertionError("all words decide")


@pytest.mark.parametrize("at", [0, 1, 30, 55, 70])
@pytest.mark.parametrize("sign", [0, 1])
def test_where_upper_bits_are_those_of_a_threshold_lower_ones_decide(at: int, sign: int) -> None:
    threshold = thresholds()[at]
    upper, lower = threshold >> 64, threshold % (1 << 64)
    word = upper << 6 | sign
    for low, magnitude in ((lower - 1, at + 1), (lower, at)):
        assert reference.base_sample(word, thresholds(), lambda low=low: low) == (-magnitude if sign else magnitude)


def test_a_source_draws_more_where_words_do_not_decide(monkeypatch) -> None:
    """All words are made the same; so is the outcome, by the next words of the stream."""
    law, (first, *_) = gaussian(5), thresholds()
    words = Source.words

    def forged(self, count):
        found = words(self, count)
        if count > 1:
            found[:] = first >> 64 << 6
            found[5] = 1 << 63  # another word, which decides
        return found

    monkeypatch.setattr(Source, "words", forged)
    found = Source(b"s" * 32).samples(law, (64,))
    monkeypatch.undo()
    source, lower = Source(b"s" * 32), first % (1 << 64)
    source.words(64 * len(law.multipliers))
    uniform = np.full((len(law.multipliers), 64), first >> 64 << 6)
    uniform[0, 5] = 1 << 63
    expected = reference.gaussian_sums(uniform.tolist(), thresholds(), law.multipliers, lambda: int(source.words(1)[0]))
    assert found.tolist() == expected
    assert set(np.delete(found, 5).tolist()) <= {0, 1, 2, 3, 4, 5, 6}
    assert 0 < lower < 1 << 64


@pytest.mark.parametrize("shape", [(64,), (3, 64), (2, AT_ONCE), (1, AT_ONCE + 192)])
def test_samples_are_made_of_the_cipher_in_counter_mode(shape):
    seed, law = bytes(range(32)), gaussian(10**6)
    stream = Cipher(algorithms.AES256(seed), modes.CTR(bytes(16))).encryptor()
    expected, terms, count = [], len(law.multipliers), math.prod(shape)
    for start in range(0, count, AT_ONCE):
        part = min(AT_ONCE, count - start)
        words = np.frombuffer(stream.update(bytes(8 * part * terms)), "<u8").reshape(-1, part)
        expected += reference.gaussian_sums(words.tolist(), thresholds(), law.multipliers, never)
    found = Source(seed).samples(law, shape)
    assert found.shape == shape
    assert found.ravel().tolist() == expected
    assert not found.flags.writeable


def test_a_source_goes_on_where_it_was_and_two_are_not_alike():
    law = gaussian(1)
    first, again = Source(b"s" * 32), Source(b"s" * 32)
    parts = [first.samples(law, (64,)) for _ in range(2)]
    assert (parts[0] != parts[1]).any()
    assert [part.tolist() for part in parts] == [again.samples(law, (64,)).tolist() for _ in range(2)]
    assert (Source().samples(law, (64,)) != Source().samples(law, (64,))).any()


@pytest.mark.parametrize("law", [gaussian(1), gaussian(2), gaussian(10**5), gaussian(2**62)], ids=str)
def test_moments_and_shares_are_those_of_a_gaussian(law):
    """Of 2^16 samples: the mean, the variance, and how many lie between the quantiles of 64 equal parts."""
    count = 1 << 16
    x = Source(b"moments and shares of a gaussian").samples(law, (count,)) / law.deviation
    wide = stats.norm.isf(FALSE_ALARM / 2)
    assert abs(x.mean()) < wide / math.sqrt(count)
    assert abs(x.var() - 1) < wide * math.sqrt(2 / count)
    # Integers between the quantiles: all of them up to one, so that cells hold whole integers.
    ends = np.unique(np.floor(stats.norm.ppf(np.arange(1, 64) / 64) * law.deviation)) + 0.5
    shares = np.diff(expected_below(law, np.concatenate([[-np.inf], ends, [np.inf]])))
    found = np.diff(np.searchsorted(np.sort(x * law.deviation), ends), prepend=0, append=count)
    statistic = ((found - count * shares) ** 2 / (count * shares)).sum()
    assert statistic < stats.chi2.isf(FALSE_ALARM, len(shares) - 1)


def expected_below(law: Gaussian, ends: np.ndarray) -> np.ndarray:
    """The probability of a sample below every end, which is an integer and a half."""
    if law.deviation > 1000:  # far more than the tests could see: the continuous law, half an integer further
        return stats.norm.cdf(ends / law.deviation)
    values = np.arange(-20 * math.ceil(law.deviation), 20 * math.ceil(law.deviation) + 1)
    p = np.exp(-(values**2) / (2 * law.variance))
    return np.array([p[values < end].sum() for end in ends]) / p.sum()
