"""Algebras that read a program: in the clear, as noise or error, as cost."""
