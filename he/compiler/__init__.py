"""The compiler from networks to circuits: stages, schedules, polynomials, levels and parameters."""
