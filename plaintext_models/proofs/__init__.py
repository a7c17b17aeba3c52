"""Training for proofs: bounds through modules, the loss on them, and how the radius grows."""
