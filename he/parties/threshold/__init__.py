"""One key of two owners: each has a share of the secret, and nothing is opened without both."""
