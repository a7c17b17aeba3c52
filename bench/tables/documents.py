"""Where networks, attacks and results come from, by the identifiers of five documents.

T is the thesis on encrypted and adversarially robust deep learning that this toolkit grew from, S a report on the
stochastic delta rule (2019), C a course report on reactive and preventive models (2017), A an article that retells
arXiv:1412.6572, M a doctoral thesis on learnt stochastic weight masking (2019). Importing this loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bench.tables import course, delta_rule, linear, masking, thesis
from bench.tables.published import Published

LISTED = ("network", "attack", "defence")


@dataclass(frozen=True)
class Origin:
    """Where something comes from.

    Attributes:
        identifiers: What the documents' list calls it; empty where no document has it.
        source: The paper behind it.
        section: Where the documents speak of it: "T 2" is chapter or section 2 of T.
    """

    identifiers: tuple[str, ...]
    source: str
    section: str = ""


#: The networks of documents, by their names in `plaintext_models.zoo.registry`.
NETWORKS: Mapping[str, Origin] = MappingProxyType(
    {
        "mnist-mlp": Origin(("S17", "S18"), "", "S 6"),
        "mnist-lstm": Origin(("T5", "S18"), "Hochreiter and Schmidhuber, 1997", "T 1, S 6"),
        "mnist-softmax": Origin(("A2", "A11"), "Goodfellow et al., arXiv:1412.6572", "A"),
        "mnist-maxout": Origin(("A7",), "Goodfellow et al., arXiv:1302.4389", "A"),
        "mnist-dbm": Origin(("A13",), "Goodfellow et al., NIPS 2013", "A"),
        "mnist-shallow-cnn": Origin(("T46",), "", "T 5"),
        "mnist-deep-cnn": Origin(("T46",), "", "T 5"),
        "mnist-rbf": Origin(("A10",), "Goodfellow et al., arXiv:1412.6572", "A"),
    }
)

#: The attacks by their names in `plaintext_models.attacks.families`.
ATTACKS: Mapping[str, Origin] = MappingProxyType(
    {
        "fgsm": Origin(("T11", "S1", "A2", "M12"), "Goodfellow et al., arXiv:1412.6572", "T 2, S 2, A, M 2"),
        "bim": Origin(("T13", "S2", "M13"), "Kurakin et al., arXiv:1607.02533", "T 2, S 2, M 2"),
        "pgd": Origin(("T15", "M15"), "Madry et al., arXiv:1706.06083", "T 2, M 2"),
        "apgd": Origin((), "Croce and Hein, arXiv:2003.01690"),
        "apgd-targeted": Origin((), "Croce and Hein, arXiv:2003.01690"),
        "adaptive": Origin((), "Liu et al., arXiv:2203.05154"),
        "ilcm": Origin(("T14", "S5", "M14"), "Kurakin et al., arXiv:1607.02533", "T 2, S 2, M 2"),
        "one-step-least-likely": Origin(("S4",), "Kurakin et al., arXiv:1611.01236", "S 2"),
        "universal": Origin(("C6",), "Moosavi-Dezfooli et al., arXiv:1610.08401", "C"),
        "jsma": Origin(("T16",), "Papernot et al., arXiv:1511.07528", "T 2"),
        "few-pixel": Origin(("T17",), "Su et al., arXiv:1710.08864", "T 2"),
        "local-search": Origin(("S8",), "Narodytska and Kasiviswanathan, arXiv:1612.06299", "S 2"),
        "square": Origin((), "Andriushchenko et al., arXiv:1912.00049"),
        "random-noise": Origin(("A8",), "Goodfellow et al., arXiv:1412.6572", "A"),
        "deepfool": Origin(("S3",), "Moosavi-Dezfooli et al., arXiv:1511.04599", "S 2"),
        "ddn": Origin((), "Rony et al., arXiv:1811.09600"),
        "carlini-wagner": Origin(("T18",), "Carlini and Wagner, arXiv:1608.04644", "T 2"),
        "growing-fgsm": Origin(("S1",), "Goodfellow et al., arXiv:1412.6572", "S 2"),
        "lbfgs": Origin(("T10", "M1"), "Szegedy et al., arXiv:1312.6199", "T 2, M 1"),
        "hop-skip-jump": Origin((), "Chen et al., arXiv:1904.02144"),
    }
)


#: What the letters of identifiers stand for, of the documents that `paper` measures again.
DOCUMENTS: Mapping[str, str] = MappingProxyType(
    {"T": "the thesis", "S": "the report", "C": "the course report", "A": "the article", "M": "the doctoral thesis"}
)

#: What `paper` measures again, by its identifiers, which begin with the letters of the documents.
PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {**thesis.PUBLISHED, **delta_rule.PUBLISHED, **course.PUBLISHED, **linear.PUBLISHED, **masking.PUBLISHED}
)
