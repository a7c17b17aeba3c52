"""Networks that other libraries have trained, as float graphs."""
