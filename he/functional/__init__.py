"""Inner-product functional encryption: a server learns the inner products that it has keys for, and trains on them."""
