"""Between torch and `intnn`: trained modules become networks, and networks become modules that attacks can use."""
