"""Fine-tuning of a float network into a form that runs on ciphertexts, by distilling its own answers: no labels."""
