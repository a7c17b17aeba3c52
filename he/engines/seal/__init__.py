"""The reference engine: SEAL's own evaluator."""
