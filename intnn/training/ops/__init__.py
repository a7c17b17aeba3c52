"""The operations of a training step: `reference`, in plain Python integers, defines what `numpy_` computes."""
