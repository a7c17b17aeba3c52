"""What T says, the thesis on encrypted and adversarially robust deep learning."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.tables.published import Published

PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "T22": Published("contractive autoencoder", "attacked end to end, worse than without", "T 2.3"),
        "T23": Published("gradient regularisation", "robust together with adversarial training", "T 2.3"),
        "T24": Published("noise on the logits", "masks gradients from Carlini and Wagner", "T 2.3"),
        "T25": Published("defensive distillation", "stops small perturbations; broken since", "T 2.3"),
        "T26": Published("feature denoising", "helps adversarial training, the Gaussian most", "T 2.3"),
        "T27": Published("a generator beside the network", "the network learns to withstand it", "T 2.3"),
        "T28": Published("feature squeezing", "flags what answers differently once smoothed", "T 2.3"),
        "T29": Published("detectors and reformers", "find or mend; themselves attackable", "T 2.3"),
        "T30": Published("compression and filters", "not resilient against better attacks", "T 2.3"),
        "T31": Published("foveation", "detects by symmetry under scale and translation", "T 2.3"),
        "T32": Published("random resizing", "some success", "T 2.3"),
        "T33": Published("adversarial training", "robust, at a cost of clean accuracy", "T 2.3"),
        "T41": Published(
            "robust features for questions",
            "a MAC network on them answers as well with denoising, worse without, and is vulnerable (Table 4.1)",
            "T 4",
        ),
        "T42": Published(
            "standard and robust risk",
            "two things to minimise: the mean loss, and the mean of the greatest in a ball",
            "T 5",
        ),
        "T43": Published(
            "universal approximation",
            "sums of enough sigmoids come as close to a continuous function as is wanted",
            "T 5",
        ),
        "T44": Published(
            "compression",
            "without loss, 30 % of the weights go by curvature and nine tenths by magnitude with retraining; deeper "
            "networks suffer more than wider ones",
            "T 5",
        ),
        "T45": Published(
            "hypotheses on plasticity",
            "training against an attack needs depth; depth raises the capacity to learn, width up to a point",
            "T 5",
        ),
        "T46": Published("plasticity", "training against an attack costs a deeper network less (Table 5.1)", "T 5"),
        "T47": Published("plasticity by epochs", "the deeper network lies above the shallower one (Figure 5.2)", "T 5"),
        "T48": Published(
            "what lowers plasticity", "regularisation, pruning and quantisation lower the capacity to learn", "T 5"
        ),
    }
)
