"""The operations of layers on a GPU."""
