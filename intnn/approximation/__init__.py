"""Float networks whose every activation is a polynomial, which is what a scheme for approximate numbers evaluates."""
