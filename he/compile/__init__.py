"""From a network to a circuit: stages, schedules, polynomials, levels and parameters."""
