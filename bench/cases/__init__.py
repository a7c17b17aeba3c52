"""One module for each case of `python -m bench`."""
