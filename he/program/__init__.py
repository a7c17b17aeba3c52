"""Programs over packed slot vectors: their operations, and the algebras that read them."""
