"""The table: its rows, and the published figures beside them."""
