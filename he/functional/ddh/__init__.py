"""Inner products from discrete logarithms: the scheme of Agrawal, Libert and Stehle on the curve secp256k1."""
