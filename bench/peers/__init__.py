"""Other libraries that ours are timed beside or compared with, and services that are attacked."""
