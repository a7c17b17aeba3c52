"""What M says, the doctoral thesis on learnt stochastic weight masking."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.tables.published import Published

PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "M17": Published("dropout against FGSM", "the more is dropped, the better; 40 points at 0.1", "M 3"),
        "M18": Published("L1 and L2 penalties", "strong ones help, and the strongest L1 underfits", "M 3"),
        "M19": Published("confidence under FGSM", "near 0 of weakly, gradual of strongly regularised ones", "M 3, A"),
        "M20": Published(
            "binarised dense layers", "drawn ones above rounded ones; REINFORCE best at high radii", "M 3"
        ),
        "M20-confidence": Published("their confidence", "split of DBN and STE, high of REINFORCE", "M 3, A"),
        "M21": Published("perturbations with L1", "spread without, centred with a penalty", "M 3"),
        "M23": Published("SGBN by how sure its gates are", "learnt masks make it robust", "M 4"),
        "M31": Published("SGBN and its rivals", "93.1 % at 0.3, above all", "M 4"),
        "M32": Published("BIM and ILL", "SGBN withstands ten steps, the others do not", "M 4"),
        "M33": Published("CIFAR-10", "in full alone; SGBN 17.3 % at 0.3, above all", "M 4", quick=False),
        "M34": Published("transfer among five networks", "SGBN withstands all, and makes the weakest examples", "M 4"),
        "M35": Published("what gates say", "nearly deterministic given the image", "M 4, B"),
        "M36": Published("perturbations", "SGBN's are spread over the image", "M 4"),
        "M37": Published("distances", "SGBN's grow steadily, SAP's and BNN's stay flat", "M 4"),
        "M38": Published("images in the plane", "SGBN's still cluster, BNN's do not", "M 4"),
        "M39": Published("deterministic gates: gradients", "their variance is larger where gates are drawn", "M 4"),
        "M39-transfer": Published("their examples on others", "drawn gates make weaker ones, by 8 points", "M 4"),
        "M40": Published("gates as classifiers", "84.2 and 95.8 %; as robust as their networks", "M 4"),
        "M41": Published("gates as attackers", "the second gate's examples act like SGBN's", "M 4, D"),
        "M42": Published("SGBN with a ReLU layer", "91.1 % at 0.3", "M 4, C"),
        "M43": Published("shared filters", "a little lower at small radii, higher above 0.23", "M 4"),
        "M44": Published("black box, by variants", "random, shuffled and signed masks are worse", "M 4"),
        "M45": Published("y = |x|", "no gate fails near 0; deterministic gates fit best", "M 4"),
        "M46": Published("adaptive dropout", "drawn above deterministic above none", "M 4"),
        "M47": Published("controls with as many weights", "weights alone do not do it", "M 4"),
        "M48": Published("white box, all networks", "Table 4.11", "M 4"),
    }
)
