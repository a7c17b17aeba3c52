"""Architectures: functions that build untrained networks from a shape and a few numbers."""
