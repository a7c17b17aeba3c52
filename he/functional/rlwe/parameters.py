"""Parameters of the lattice scheme, derived from what an instance computes; with the reasons.

The scheme is that of J. M. Bermudo Mera, A. Karmakar, T. Marc and A. Soleimanian, "Efficient Lattice-Based
Inner-Product Functional Encryption" (PKC 2022, IACR ePrint 2021/046), in R = Z[X]/(X^N + 1) modulo q. For vectors of
length l, elements of x in an interval of width W, elements of y within +-B, sigma = 3.2 and kappa = 128:

    master key     s_1 .. s_l from D(s1)
    public key     a uniform, b_i = a s_i + e_i with e_i from D(s1)
    ciphertext     c_0 = a r + f_0, c_i = b_i r + f_i + floor(q / K) x_i, with r, f_0 from D(s2) and f_i from D(s3)
    key for y      k_y = sum of y_i s_i
    decryption     sum of y_i c_i - c_0 k_y = floor(q / K) <x, y> + noise, whose multiple of q / K is rounded

x_i is a polynomial whose N coefficients are the i-th elements of N different samples, each less the domain's centre;
K = 2 l max|x| B + 1 keeps all inner products apart.

**Why keys reveal nothing else: s1.** The proof (section 4 of the paper) compares samples x and x' with <y, x - x'> = 0
for every key y. With d = x - x' it takes s_i as d_i s' + s_i'', where s' is a secret of ring learning with errors with
deviation sigma: keys do not see s', and so the public key's part a s' + e' may be replaced by a uniform u, and d_i u
hides d_i. For such sums to have the law D(s1), the conditional law of s' must be smooth: its deviation is
sigma sqrt(1 - sigma^2 |d|^2 / s1^2), and |d| is at most sqrt(l) W. With s1 = sqrt(2 l) W sigma it is at least
sigma / sqrt 2 = 2.26, beyond the smoothing parameter of Z for 2^-144 (2.13 would do for 2^-128). The factor sqrt 2 is
ours: without it nothing would be left of s'' in the worst case.

**Why ciphertexts reveal nothing else: s2, s3.** A decryption shows sum y_i (e_i r + f_i) - f_0 k_y: hints about r, f_0
and f_i, with factors that the trainer may know. Ring learning with errors with many such hints (mheRLWE, section 3) is
as hard as without them, with deviation sigma, if s2 = sqrt(2 (l + 2)) N sigma s1 sqrt(kappa) and s3 = sqrt(2) s2.
These are 20 bits and more that a scheme without hints would not need; they must never be made smaller.

**Many samples in one ciphertext.** The paper encrypts one vector, whose elements are constant polynomials. Here a
ciphertext holds N of them, and so the samples in it change one at a time: between x and x' lie N hybrids, and two
neighbours differ in column j alone, by d X^j with d in Z^l and <y, d> = 0 for all keys. As above s_i = d_i s' + s_i'',
and c_i contains d_i (u r + f'), to which d_i floor(q / K) X^j is added: u r + f' is uniform to whoever has the hints,
so the sum is as well. |d| is that of one sample, so s1 is the same; the adversary's advantage grows by a factor of at
most N, once more for every ciphertext: 12 bits of advantage for N = 4096, not of the cost of an attack on the lattice.
Security is selective: the data do not depend on the public key or on functional keys; the vectors y may, on everything.

**Noise.** For a fixed y with |y| <= B sqrt(l), E = sum y_i e_i and k_y are vectors of N elements with deviation s1 |y|,
subgaussian as discrete Gaussians are with their own deviations (D. Micciancio and C. Peikert, EUROCRYPT 2012, lemma
2.8). But for 2^-64 their squared norms are below rho N s1^2 |y|^2 with rho = 1 + 2 sqrt(t / N) + 2 t / N, t = 64 ln 2
(D. Hsu, S. Kakade and T. Zhang, Electron. Commun. Probab. 17, 2012, theorem 2.1). Given these, a coefficient of
E r - f_0 k_y + sum y_i f_i is subgaussian with variance 2 rho N s1^2 |y|^2 s2^2 + |y|^2 s3^2: beyond 9.5 deviations
with probability below 2^-64.

**Dropping a prime.** The owner divides c_0 and c_i by one prime and rounds. The roundings, uniform and independent of
keys as fresh ciphertexts are, add sum y_i eps_i - eps_0 k_y, subgaussian with variance
(|y|^2 + rho N s1^2 |y|^2) / 12 modulo what is left of q: the same 9.5 deviations.

**Reach.** Divided by q / K, both bounds together say how far from the grid of results a right decryption can lie, in
steps. Parameters are such that it is at most a quarter, or, where more primes would be needed, at most 0.45. A
decryption whose distance is larger is refused. With a key of another instance the distance is uniform; as many
coefficients are looked at as leave a chance below 2^-64 that none of them is refused (64 where a quarter is allowed).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product

from he.functional.instance import Instance
from he.functional.rlwe.estimate import Estimate, primal
from he.functional.rlwe.gaussian import Gaussian, gaussian
from he.ring.params import MAX_MODULUS_BITS, RING_DEGREES, ParameterError
from he.ring.primes import ntt_primes

SIGMA = 3.2
KAPPA = 128

#: How many deviations a bound has: 2 exp(-9.5^2 / 2) is below 2^-64.
DEVIATIONS = 9.5
_TAIL = 64 * math.log(2)

#: How far from the grid, in steps, a decryption may lie wherever two primes allow it, and at most.
QUARTER, MOST = 0.25, 0.45
_LEAST_BITS, _MOST_BITS = 24, 50  # of a prime; the transforms take no larger ones


@dataclass(frozen=True)
class RlweParameters:
    """Parameters of the lattice scheme for one kind of instance.

    Attributes:
        length: l, the number of elements of a vector.
        width: W, the largest difference of two elements of x.
        magnitude: The largest magnitude of an element of x, less the centre.
        key_limit: B, the largest magnitude of an element of y.
        N: The ring's degree, and the most samples in one block of a ciphertext.
        primes: The primes of q.
        kept: The number of primes that ciphertexts have; the last one is dropped by the owner, or none.
        secrets: The law of s_i and e_i, of deviation s1.
        masks: The law of r and f_0, of deviation s2.
        errors: The law of f_i, of deviation s3.
    """

    length: int
    width: int
    magnitude: int
    key_limit: int
    N: int
    primes: tuple[int, ...]
    kept: int
    secrets: Gaussian
    masks: Gaussian
    errors: Gaussian

    @property
    def modulus(self) -> int:
        """The modulus q."""
        return math.prod(self.primes)

    @property
    def kept_primes(self) -> tuple[int, ...]:
        """The primes of the modulus that ciphertexts have when they travel."""
        return self.primes[: self.kept]

    @property
    def results(self) -> int:
        """K, how many inner products are told apart."""
        return 2 * self.length * self.magnitude * self.key_limit + 1

    @property
    def key_norm(self) -> float:
        """The largest Euclidean norm of a vector y."""
        return self.key_limit * math.sqrt(self.length)

    @cached_property
    def key_bound(self) -> int:
        """The largest magnitude of a coefficient of a key k_y, but for 2^-64."""
        return math.ceil(DEVIATIONS * self.secrets.deviation * self.key_norm)

    @property
    def noise_bound(self) -> float:
        """The largest magnitude of the noise modulo q, but for 2^-64 a coefficient."""
        products = 2 * self._squares * self.masks.variance
        rounded_down = self.results / 2  # floor(q / K) <x, y> lies below <x, y> q / K by less
        return DEVIATIONS * self.key_norm * math.sqrt(products + self.errors.variance) + rounded_down

    @property
    def rounding_bound(self) -> float:
        """The largest magnitude that the roundings add modulo the kept primes, but for 2^-64; 0 if none is dropped."""
        if self.kept == len(self.primes):
            return 0.0
        return DEVIATIONS * self.key_norm * math.sqrt((1 + self._squares) / 12)

    @property
    def _squares(self) -> float:
        """The largest squared norm of a polynomial whose coefficients have deviation s1, but for 2^-64."""
        rho = 1 + 2 * math.sqrt(_TAIL / self.N) + 2 * _TAIL / self.N
        return rho * self.N * self.secrets.variance

    @cached_property
    def reach(self) -> float:
        """How far from the grid a right decryption can lie, in steps, but for 2^-64 a coefficient."""
        return self.results * (
            self.noise_bound / self.modulus + self.rounding_bound / math.prod(self.kept_primes) + 2.0**-48
        )  # the last term: fractions are added in float64

    @property
    def tolerance(self) -> float:
        """The distance from the grid, in steps, beyond which a decryption is refused."""
        return max(QUARTER, self.reach)

    @cached_property
    def checked(self) -> int:
        """The least number of coefficients, a multiple of 64, whose distance is looked at for every key."""
        return 64 * math.ceil(1 / -math.log2(2 * self.tolerance))

    def coefficients(self, samples: int) -> int:
        """The number of coefficients, a multiple of 64, that a block with so many samples keeps."""
        return max(-(-samples // 64) * 64, self.checked)

    def blocks(self, samples: int) -> int:
        """The number of blocks of a ciphertext with so many samples."""
        return -(-samples // self.N)

    @cached_property
    def estimate(self) -> Estimate:
        """What breaking ring learning with errors takes, with secret and error of deviation sigma."""
        return primal(self.N, math.log2(self.modulus), SIGMA, SIGMA)

    @property
    def limit(self) -> int:
        """The most bits that the guidelines of 2024 allow for q at this N (see `he.ring.params`)."""
        return MAX_MODULUS_BITS["128"][self.N]

    def __str__(self) -> str:
        sizes = " + ".join(str(p.bit_length()) for p in self.primes)
        return f"lattice, l={self.length}, N={self.N}, log q = {sizes} of {self.limit} bits, {self.estimate}"

    def explain(self) -> str:
        """Say in some lines what was chosen, and why it is enough."""
        s1, s2, s3 = (math.log2(law.deviation) for law in (self.secrets, self.masks, self.errors))
        kept = " + ".join(str(p.bit_length()) for p in self.kept_primes)
        return "\n".join([
            str(self),
            f"vectors: {self.length} elements; x within an interval of width {self.width}, y within +-{self.key_limit}",
            f"results: {self.results} inner products are told apart",
            f"deviations: s1 = 2^{s1:.2f} (secrets), s2 = 2^{s2:.2f} (r, f_0), s3 = 2^{s3:.2f} (f_i)",
            f"noise: at most 2^{math.log2(self.noise_bound):.1f} but for 2^-64 a coefficient, "
            f"half a step is 2^{math.log2(self.modulus / self.results / 2):.1f}",
            f"ciphertexts: {self.N} samples to a block, {kept} bits a coefficient",
            f"reach: {self.reach:.3f} of a step; refused beyond {self.tolerance:.3f}, {self.checked} coefficients or "
            "more looked at for every key",
            f"security: {self.estimate}; guidelines of 2024 (IACR ePrint 2024/463) allow {self.limit} bits at "
            f"N={self.N} for 128 bits of classical security; selective, and not against a trainer who colludes with "
            "the authority",
        ])  # fmt: skip


def parameters(instance: Instance) -> RlweParameters:
    """Derive the parameters of an instance: the smallest ring, and in it the shortest ciphertexts.

    Raises:
        ParameterError: No ring holds the modulus that the instance needs within the guidelines of 128 bits.
    """
    return _derived(instance.length, instance.width, instance.magnitude, instance.key_limit)


@cache
def _derived(length: int, width: int, magnitude: int, key_limit: int) -> RlweParameters:
    # Variances as multiples of the base law's, (2 sigma)^2 = 1024 / 25, rounded up: integers, so that nothing is less.
    secrets = gaussian(-(-length * width**2 // 2))
    for N in RING_DEGREES:
        masks = gaussian(-(-(length + 2) * N**2 * KAPPA * 1024 * secrets.multiple // 50))
        errors = gaussian(2 * masks.multiple)
        limit = MAX_MODULUS_BITS["128"][N]
        ideal = RlweParameters(
            length=length,
            width=width,
            magnitude=magnitude,
            key_limit=key_limit,
            N=N,
            primes=(1 << limit,),
            kept=1,
            secrets=secrets,
            masks=masks,
            errors=errors,
        )
        if ideal.reach > MOST:
            continue
        for count, most in product(range(1, limit // _LEAST_BITS + 1), (QUARTER, MOST)):
            for bits, kept in _sizes(count, limit):
                trial = replace(ideal, primes=tuple(1 << size for size in bits), kept=kept)  # larger than all primes
                if trial.reach <= most:
                    found = replace(trial, primes=ntt_primes(bits, N))
                    if found.reach <= most:
                        return found
    raise ParameterError(
        f"no ring up to N={RING_DEGREES[-1]} holds the modulus for vectors of {length} elements within 128 bits of "
        "security; use shorter vectors, or smaller ranges of x and y"
    )


def _sizes(count: int, limit: int) -> list[tuple[tuple[int, ...], int]]:
    """Sizes of so many primes, with how many are kept: what has fewer words first, then fewer bits."""
    sizes = range(_LEAST_BITS, _MOST_BITS + 1)
    found = []
    for size, last in product(sizes, sizes):
        bits = (*(size,) * (count - 1), last)
        if sum(bits) <= limit:
            found += [(bits, kept) for kept in sorted({max(count - 1, 1), count})]
    return sorted(found, key=lambda each: (each[1], sum(each[0]), abs(each[0][0] - each[0][-1])))
