"""Other libraries that ours is timed beside or compared with, and the encrypted service as a target of attacks."""
