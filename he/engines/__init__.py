"""Engines, which evaluate circuits on ciphertexts behind one interface: our own arithmetic, and SEAL's."""
