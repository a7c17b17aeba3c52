"""Integer training of networks of squares without a rounding inside a step.

`plan` proves how far every number of a step reaches, `step` makes one, and `reference` says in plain Python integers
what it is. `checkpoint` stores the variables between two steps.
"""
