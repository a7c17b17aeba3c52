"""What no graph can be made of is refused by its name, its place and what to do, and nothing is printed or left."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao.nn import quantized as quantised

from plaintext_models.bridge.from_torch import from_torch
from tests.plaintext_models.bridge.architectures import Call, Residual

IMAGE = (4, 8, 8)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        self.seen += 1
        return x * self.seen


class Placed(nn.Module):
    """A layer, and an embedding of places, which are no inputs."""

    def __init__(self, width):
        super().__init__()
        self.places, self.layer = nn.Embedding(6, 2), nn.Linear(width, 2)

    def forward(self, x):
        return self.layer(x) + self.places(torch.arange(6)).sum(0)


def within(layer):
    """A layer with a name of its own, in a network."""
    return nn.Sequential(nn.Identity(), nn.Sequential(layer))


def controlled(function):
    return nn.Sequential(nn.Linear(6, 6), Call(function))


MODULES = {
    "an if": (controlled(lambda x: x if x.sum() > 0 else -x), "control flow that depends on values"),
    "a loop": (controlled(lambda x: sum(x for _ in range(int(x.abs().sum())))), "control flow that depends on values"),
    "numpy": (controlled(lambda x: torch.from_numpy(np.tanh(x.numpy()))), r"torch\.export can trace.*to numpy"),
    "an if about the batch": (controlled(lambda x: x if len(x) == 3 else -x), "on random inputs it gives other"),
    "a size of the batch": (controlled(lambda x: x / len(x)), "on random inputs it gives other outputs"),
    "two outputs": (controlled(lambda x: (x, x)), "give one tensor, got tuple; wrap it"),
    "a dictionary": (controlled(lambda x: {"logits": x}), "give one tensor, got dict"),
    "a constant": (controlled(lambda x: torch.ones(len(x), 2)), "compute its output from its input"),
    "its input": (nn.Identity(), "have at least one layer, got one that gives its input"),
    "several inputs": (nn.Bilinear(6, 6, 2), "on a batch like `example`, .*TypeError.*; give several inputs as one"),
    "a counter": (nn.Sequential(nn.Linear(6, 2), Counting()), r"stay as it is .*changes 1\.seen"),
    "another size": (nn.Linear(5, 2), "run on a batch like .*RuntimeError: .*shapes cannot be multiplied"),
    "another size within": (within(nn.Linear(5, 2)), r"shapes cannot be multiplied.* in `1\.0` \(Linear\)$"),
    "a number of a tensor": (controlled(lambda x: x * float(x.max())), r"a number taken out of .*and no \.item\(\)"),
    "an embedding": (within(nn.Embedding(5, 2)), r"an embedding in `1\.0` \(Embedding\), which .*give the vectors"),
    "several embeddings": (nn.EmbeddingBag(5, 2), r"in `module` \(EmbeddingBag\)"),
    "an embedding of something else": (Placed(5), r"shapes cannot be multiplied.* in `layer` \(Linear\)$"),
    "an error of its own": (controlled(lambda x: {}[len(x)]), "run on a batch like .*KeyError: 3"),
    "nothing": (nn.Sequential(nn.Linear(6, 2), Call(lambda x: None)), "one tensor, got NoneType"),
    "lazy": (nn.Sequential(nn.Linear(6, 2), nn.LazyLinear(2)), r"module\.1 that waits for its first input"),
    "meta": (nn.Linear(6, 2, device="meta"), "no values, on the meta device; load them first"),
    "complex": (nn.Linear(6, 2, dtype=torch.complex64), "dense floats, got module.weight with .*complex64"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_modules_that_cannot_be_traced(name, capfd):
    module, message = MODULES[name]
    with pytest.raises(ValueError, match="`module` must .*(" + message + ")"):
        from_torch(module, torch.rand(2, 6))
    assert capfd.readouterr() == ("", "")


def test_a_module_that_was_refused_is_as_it_was():
    module, x = nn.Sequential(nn.Linear(6, 2), Counting()).train(), torch.rand(2, 6)
    before, drawn = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    with pytest.raises(ValueError, match="must stay as it is"):
        from_torch(module, x)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert torch.get_default_dtype() == torch.float32
    assert all(layer.training for layer in module.modules())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("key", ["0.weight", "1.running_mean", "1.weight"])
def test_weights_that_are_no_numbers(key, value):
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    module.state_dict()[key].view(-1)[0] = value
    with pytest.raises(
        ValueError, match=f"NaN or infinity in module.{key}|NaN in module.{key}|`weight` must|`bias` must"
    ):
        from_torch(module, torch.rand(1, 1, 5, 5))


def test_hooks_and_quantised_and_scripted_modules():
    module = within(nn.Linear(6, 2))
    module[1][0].register_forward_hook(lambda *a: -a[-1])
    with pytest.raises(ValueError, match=r"no forward hooks, got one on module\.1\.0"):
        from_torch(module, torch.rand(1, 6))
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        scripted = torch.jit.trace(nn.Linear(6, 2), torch.rand(1, 6))
    with pytest.raises(TypeError, match="must be the module that was scripted"):
        from_torch(scripted, torch.rand(1, 6))
    with warnings.catch_warnings(action="ignore"):  # that they are deprecated is said once a process only
        module = nn.Sequential(quantised.Linear(6, 2))
    with pytest.raises(ValueError, match=r"float weights, got module\.0 that is quantised; give the float module"):
        from_torch(module, torch.rand(1, 6))


EXAMPLES = {
    "none": (None, ValueError, "`example` must be given for a module"),
    "several": ((torch.rand(1, 6), torch.rand(1, 6)), TypeError, "one tensor, got a tuple; a graph has one input"),
    "a list": ([[0.0] * 6], TypeError, "one tensor, got a list"),
    "a shape": (6, TypeError, r"a tensor \[batch, ...\], got int"),
    "bytes": (torch.zeros(1, 6, dtype=torch.uint8), ValueError, "floats .*, got torch.uint8; divide images by 255"),
    "integers": (torch.zeros(1, 6, dtype=torch.int64), ValueError, "floats .*, got torch.int64"),
    "complex": (torch.zeros(1, 6, dtype=torch.complex64), ValueError, "floats .*, got torch.complex64"),
    "NaN": (torch.full((1, 6), torch.nan), ValueError, "finite, got NaN or infinity"),
    "no batch": (torch.rand(6), ValueError, r"a batch of inputs, .*got shape \(6,\); give example\[None\]"),
    "empty": (torch.rand(0, 6), ValueError, r"got shape \(0, 6\)"),
    "meta": (torch.rand(1, 6, device="meta"), ValueError, "a dense tensor with values, got .* on meta"),
    "sparse": (torch.rand(1, 6).to_sparse(), ValueError, "a dense tensor with values, got torch.sparse_coo"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_that_are_none(name):
    example, error, message = EXAMPLES[name]
    with pytest.raises(error, match=message):
        from_torch(nn.Linear(6, 2), example)


def test_integers_for_an_embedding():
    with pytest.raises(ValueError, match=r"an embedding in `1\.0` \(Embedding\)"):
        from_torch(within(nn.Embedding(5, 2)), torch.ones(2, 6, dtype=torch.int64))
    assert from_torch(Placed(6), torch.rand(2, 6)).output_shape == (2,)


@pytest.mark.parametrize(
    ("module", "example"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2)), torch.rand(1, 8, 8)),
        (nn.Sequential(nn.Conv2d(4, 2, 3), nn.ReLU()), torch.rand(4, 8, 8)),
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()), torch.rand(3, 8, 8)),  # as many as the batch that is traced
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), torch.rand(8, 8)),
        (nn.Sequential(nn.Conv1d(2, 2, 3), nn.Flatten(), nn.Linear(12, 2)), torch.rand(2, 8)),
    ],
)
def test_an_image_in_place_of_a_batch_is_named(module, example):
    with pytest.raises(ValueError, match=r"(batch axis.*|batch like.*)example\[None\]"):
        from_torch(module, example)
    assert from_torch(module, example[None]).input_shape == tuple(example.shape)


@pytest.mark.parametrize(("outputs", "classes"), [(1, ["a"]), (1, ["a", "b", "c"]), (3, ["a", "b"]), (2, ["a"])])
def test_class_names_of_another_number(outputs, classes):
    with pytest.raises(ValueError, match=f"labels|`classes` must name {max(2, outputs)} classes, got {len(classes)}"):
        from_torch(nn.Linear(6, outputs), torch.rand(1, 6), classes=classes)


def test_residuals_of_other_shapes_say_so():
    module = nn.Sequential(Residual(nn.Conv2d(4, 2, 1)))
    with pytest.raises(ValueError, match=r"must run on a batch like .*must match the size"):
        from_torch(module, torch.rand(1, *IMAGE))
