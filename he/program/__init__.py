"""Programs over packed slot vectors: operations, and how an algebra reads them."""
