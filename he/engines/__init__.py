"""Evaluators of circuits on ciphertexts, with one interface."""
