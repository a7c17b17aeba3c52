"""The two parties: a client with the secret key, and the sessions of a prepared circuit, which have none."""
