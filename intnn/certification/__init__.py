"""Proofs that no input near a given one changes what an integer network answers."""
