"""Float and quantisation-aware networks: data sets, architectures, training, attacks, evaluation, and trained models.

Importing this package, its data sets (`plaintext_models.data`) or its stored networks (`plaintext_models.zoo`) does not
need torch; training does (the extra ``train``).
"""
