"""Models of any library, compiled by one call, estimated before a key is made, and used like an estimator."""
