"""The nodes of networks, what they make of intervals, and how they are written down."""
