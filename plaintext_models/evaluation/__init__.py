"""How robust a model is, as far as attacks can tell, and whether what they tell can be trusted."""
