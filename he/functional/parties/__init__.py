"""The parties of functional encryption: the authority that issues keys, the owners of data, and the trainer."""
