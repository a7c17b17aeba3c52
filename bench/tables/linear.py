"""What A says, the article that retells arXiv:1412.6572."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.tables.published import Published

PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "A1": Published("the linear explanation", "an activation grows by radius x mean weight x size", "A"),
        "A2": Published("FGSM on a shallow softmax network", "MNIST, radius 0.25: an error of 99.9 %", "A"),
        "A3": Published("images that are turned", "are adversarial, too, and can be learnt through", "A"),
        "A4": Published("logistic regression, 3 against 7", "error 1.6 %, 99 % at 0.25; a closed form", "A"),
        "A5": Published("L1 decay on maxout", "stuck above 5 % of training error, or no help", "A"),
        "A7": Published("adversarial training of maxout", "error 89.4 to 17.9 % under FGSM, and lower without", "A"),
        "A8": Published("training on noise", "prevents little: 86.2 and 90.4 %", "A"),
        "A9": Published("where to perturb", "the input; the last hidden layer never helped", "A"),
        "A10": Published("radial basis functions", "unsure when wrong: error 55.4 %, confidence 1.2 %", "A"),
        "A11": Published("agreement", "shallow networks make a deep one's mistakes", "A"),
        "A12": Published("along the sign of the gradient", "logits are piecewise straight; broad wrong classes", "A"),
        "A13": Published("ensembles", "error 91.1 % attacked as a whole, 87.9 % through a member", "A"),
        "A14": Published("images of nothing", "are taken for classes; no figure", "A"),
    }
)
