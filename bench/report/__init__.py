"""How rows are printed and drawn, one file for each case."""
