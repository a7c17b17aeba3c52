"""Quantisation-aware training of integer networks with tables.

Every layer computes, in floats, exactly the integers of the network that it will be exported to; gradients pass the
roundings as if those were not there (straight-through estimator, Bengio, Leonard and Courville, arXiv:1308.3432).
"""
