"""Operators that no graph has are refused by name, with their module and what to do; nothing is printed."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from plaintext_models.bridge.from_torch import from_torch
from tests.plaintext_models.bridge.architectures import Call

IMAGE, VECTOR = (4, 8, 8), (6,)


def within(layer):
    """A layer with a name of its own, in a network."""
    return nn.Sequential(nn.Identity(), nn.Sequential(layer))


PLACE = r"in `1\.0` "
OPERATORS = {
    "LayerNorm": (within(nn.LayerNorm(6)), VECTOR, rf"got layer_norm {PLACE}\(LayerNorm\); use BatchNorm"),
    "GroupNorm": (within(nn.GroupNorm(2, 4)), IMAGE, rf"got group_norm {PLACE}\(GroupNorm\); use BatchNorm"),
    "InstanceNorm": (within(nn.InstanceNorm2d(4)), IMAGE, rf"got instance_norm {PLACE}.*use BatchNorm"),
    "no running statistics": (within(nn.BatchNorm2d(4, track_running_stats=False)), IMAGE, "with running statistics"),
    "ConvTranspose3d": (within(nn.ConvTranspose3d(1, 2, 2)), (1, *IMAGE), "a transposed convolution of volumes in"),
    "Conv3d": (within(nn.Conv3d(1, 2, 2)), (1, *IMAGE), rf"got a convolution of volumes {PLACE}"),
    "reflect": (within(nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect")), IMAGE, "padding by 'reflect' .*zeros"),
    "circular": (within(nn.Conv2d(4, 2, 3, padding=1, padding_mode="circular")), IMAGE, "padding by 'circular'"),
    "padding by ones": (within(nn.ConstantPad2d(1, 1.0)), IMAGE, "padding by 1.0 .*pad with zeros"),
    "negative padding": (within(nn.ZeroPad2d(-1)), IMAGE, "by no negative number"),
    "dilated max pooling": (within(nn.MaxPool2d(2, dilation=2)), IMAGE, "max pooling with a dilation"),
    "places of maxima": (within(Call(lambda x: F.max_pool2d(x, 2, return_indices=True)[1] * 1.0)), IMAGE,
                         "the places of what max_pool2d_with_indices gives"),
    "Hardshrink": (within(nn.Hardshrink()), VECTOR, rf"got hardshrink {PLACE}\(Hardshrink\); use an activation that a"),
    "GLU": (within(nn.GLU()), VECTOR, "got glu .*leave gates out"),
    "exp": (within(Call(torch.exp)), VECTOR, "got exp"),
    "an exponential": (within(Call(lambda x: 2**x)), VECTOR, "got an exponential|got pow"),
    "a root": (within(Call(lambda x: x**0.5)), VECTOR, "the power 0.5.*whole exponents"),
    "a gate": (within(Call(lambda x: x * torch.tanh(x))), VECTOR, "a product of two values"),
    "a quotient": (within(Call(lambda x: 1 / x)), VECTOR, "got a division|got reciprocal"),
    "normalised rows": (within(Call(F.normalize)), VECTOR, "linalg_vector_norm.*BatchNorm"),
    "torch.where": (within(Call(lambda x: torch.where(x > 0, x, 0 * x))), VECTOR, "got gt.*in place of torch.where"),
    "a maximum of two": (within(Call(lambda x: torch.maximum(x, -x))), VECTOR, "the larger or smaller of two values"),
    "einsum": (within(Call(lambda x: torch.einsum("bf,fo->bo", x, torch.ones(6, 2)))), VECTOR, "einsum.*use nn.Linear"),
    "attention": (within(Call(lambda x: F.scaled_dot_product_attention(x, x, x))), IMAGE, "scaled_dot_product"),
    "a product of two matrices": (within(Call(lambda x: x @ x)), IMAGE, "a matrix product of another kind"),
    "embedding of rounded inputs": (within(Call(lambda x: x.long() * 2.0)), VECTOR, "to torch.int64.*as vectors"),
    "attention as a module": (within(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)), (8, 4),
                              r"got attention in `1.0.self_attn` \(MultiheadAttention\); use dense layers"),
    "half": (within(Call(lambda x: x.half().float())), VECTOR, "a conversion to torch.float16.*float32 or float64"),
    "a factor of large numbers": (within(nn.Upsample(scale_factor=1.371, mode="bilinear")), IMAGE, "give it a size"),
    "a size of another kind": (within(nn.Upsample((997, 6), mode="bilinear")), IMAGE, "a size that has more divisors"),
    "cubic upsampling": (within(nn.Upsample(scale_factor=2, mode="bicubic")), IMAGE, 'upsample_bicubic2d.*mode="near'),
    "dropout of F": (within(Call(F.dropout)), VECTOR, r"dropout.*training=self\.training"),
    "random numbers": (within(Call(lambda x: x + torch.randn(6))), VECTOR, r"random numbers \(randn\)"),
    "random numbers like": (within(Call(lambda x: x + torch.rand_like(x))), VECTOR, "rand_like.*same input"),
    "argmax": (within(Call(lambda x: x.argmax(1) * 1.0)), VECTOR, "got argmax.*return the scores"),
    "topk": (within(Call(lambda x: x.topk(2)[0])), VECTOR, "got topk.*return the scores"),
    "max along an axis": (within(Call(lambda x: x.max(1)[0])), VECTOR, "got max.*return the scores"),
    "softmax within": (nn.Sequential(nn.Softmax(1), nn.Linear(6, 2)), VECTOR, "got linear behind a softmax in `1`"),
    "softmax of the batch": (within(nn.Softmax(0)), VECTOR, "a softmax over another axis than the classes"),
    "the batch flattened": (within(nn.Flatten(0)), VECTOR, "flatten across the batch.*first axis"),
    "the batch transposed": (within(Call(lambda x: x.T)), VECTOR, "across the batch"),
    "one image of the batch": (within(Call(lambda x: x[0])), VECTOR, "select across the batch"),
    "the batch turned around": (within(Call(lambda x: x.flip(0))), VECTOR, "flip across the batch"),
    "the batch's mean": (within(Call(lambda x: x - x.mean(0))), VECTOR, "mean or maximum over the batch.*axes of one"),
    "everything's mean": (within(Call(lambda x: x - x.mean())), VECTOR, "mean or maximum over the batch"),
    "the batch concatenated": (within(Call(lambda x: torch.cat([x, x]))), VECTOR, "a concatenation of images"),
    "a constant for each image": (within(Call(lambda x: x + torch.arange(len(x))[:, None])), VECTOR,
                                  "differs along the batch"),
    "rows of an image turned": (nn.Sequential(Call(lambda x: x.flip(2)), nn.Conv2d(4, 1, 3)), IMAGE,
                                "elements in another order.*right before a linear layer"),
    "channels last": (nn.Sequential(Call(lambda x: x.permute(0, 3, 1, 2)), nn.Conv2d(8, 1, 3)), IMAGE,
                      "elements in another order.*or give inputs in the order that layers take, channels first"),
    "images upside down": (Call(lambda x: (2 * x).flip(2)), IMAGE, "elements in another order or number as output"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_that_no_graph_has(name, capfd):
    module, shape, message = OPERATORS[name]
    with pytest.raises(ValueError, match="`module` must .*(" + message + ")"):
        from_torch(module, torch.rand(2, *shape))
    assert capfd.readouterr() == ("", "")
