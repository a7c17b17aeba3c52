"""From a float `Graph` to an `IntNetwork` whose tables no input can leave: calibrate, then quantise."""
