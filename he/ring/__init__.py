"""Schemes, parameters and their security, primes, and the order of slots in a polynomial."""
