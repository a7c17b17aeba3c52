"""Encrypted inference as commands, each a process of its own, which exchange files: `python -m he stage`."""
