"""Training with refreshes: the owner decrypts worn weights after every step, and encrypts them fresh for the next."""
