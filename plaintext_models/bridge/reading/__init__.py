"""From programs of ATen's operators to the nodes of a graph."""
