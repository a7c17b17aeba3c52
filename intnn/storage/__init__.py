"""Files without pickle, which appear whole or not at all."""
