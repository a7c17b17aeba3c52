"""What a trainer does with functional keys: `projection`, a few keys once, and `faithful`, keys for every update."""
