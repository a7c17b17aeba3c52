"""Instructions for eight residues at a time, from which kernels are written."""
