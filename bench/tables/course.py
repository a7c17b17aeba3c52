"""What C says, the course report on reactive and preventive models (2017)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.tables.published import Published

PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "C1": Published("principal components", "found through images; no figure of the geometry it speaks of", "C"),
        "C2": Published("tied autoencoder", "as wide as there are components, 5,964; not effective", "C"),
        "C3": Published("convolutional autoencoder", "named alone", "C"),
        "C6": Published("universal and targeted perturbations", "defined; no curve (C7 is the second)", "C"),
        "C10": Published(
            "generated images, two tasks", "said to improve robustness, and future work; no figure", "C 7"
        ),
        "C13": Published("universal perturbations", "75.9 to 55.3 %; behind noise 73.1 to 62.5 %", "C"),
        "C14": Published("gradient perturbations, crossed", "noise helps little, PCA not (C8 is how)", "C"),
        "C15": Published("downsampling", "to 50 %: 63.0 and 54.3 %; to 75 %: 70.5 and 53.7 %", "C"),
        "C16": Published("magnitudes of noise", "curves without figures, and pictures", "C"),
        "C17": Published("what masking costs", "noise: 2.8 points, for 7.2 under a perturbation; always some", "C"),
    }
)
