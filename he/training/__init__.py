"""Training on ciphertexts: an owner encrypts samples, a trainer that holds no secret returns an encrypted model."""
