"""Defences that can be quantised, by the names of their rows in the case `meeting`; none needs torch."""

DEFENDED = (
    "undefended",
    "weight decay",
    "pruned",
    "downsampled",
    "principal components",
    "noise at the client",
    "binarised",
    "adversarial training",
    "certified",
)
