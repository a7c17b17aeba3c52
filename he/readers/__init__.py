"""Algebras that read a program: they evaluate it in the clear, bound its noise or error, or count its cost."""
