"""What kernels read: roots of unity, chains of primes, packed factors."""
