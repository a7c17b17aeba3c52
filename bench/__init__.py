"""Measurements: encrypted beside plain, ours beside others, each with the yardstick of the same run."""
