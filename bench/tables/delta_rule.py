"""What S says, the report on the stochastic delta rule (2019)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.tables.published import Published

PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "S12": Published("the rule with decay", "growth 0.05 with every batch, decay 0.7 twice an epoch", "S 4"),
        "S15": Published(
            "votes of several draws", "recover accuracy and lose robustness; no figure for the latter", "S 5"
        ),
        "S16": Published("the error of random weights", "||y - X mu||^2 + tr(X Sigma X^T) on average", "S 5"),
        "S18": Published("accuracy", "Table 1: plain, decay, learnt deviations, 50 votes", "S 6"),
        "S19": Published("accuracy while training", "Figure 8: curves over epochs", "S 6"),
        "S20": Published("attacks on MNIST", "Table 2: learnt deviations stand 94.86 % of FGSM", "S 6"),
        "S21": Published("random convolutions", "about 10 points below the plain network", "S 6"),
        "S22": Published("variances while training", "Figure 9: fall; the gap under FGSM widens", "S 6"),
        "S23": Published("a 7 and its FGSM image", "Figure 7", "S 6"),
        "S24": Published("claims", "decay is free, learnt deviations are robust, votes lose that", "S 6"),
    }
)
