"""A compiled network as a value: its program, its public interface, and the layout of its slots."""
