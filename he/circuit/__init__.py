"""A compiled network as a value: its program, its interface, and where everything lies in the slots."""
