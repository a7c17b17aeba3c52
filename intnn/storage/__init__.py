"""Files without pickle, that appear whole or not at all."""
