"""A training step as one compiled call on this processor; see `intnn.training.cpu.step`."""
