"""Inner products from one-time pads: the fastest scheme, whose keys hold for the samples that they were made for."""
