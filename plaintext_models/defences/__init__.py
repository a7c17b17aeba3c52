"""Defences of the literature, one file each; `registry` lists them. Importing this does not need torch."""
