"""Encrypted inference over HTTP: a server for models that were prepared, and a client (the extra `serve`)."""
