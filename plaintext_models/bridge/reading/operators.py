"""ATen's operators, by name: what each of them is in a graph, or why it is nothing there."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from torch import Tensor

from intnn.layers.nodes import MaxPool2d, SumPool2d
from plaintext_models.bridge.reading import elementwise as each
from plaintext_models.bridge.reading import linear as lin
from plaintext_models.bridge.reading.draft import Draft, Value
from plaintext_models.bridge.reading.unsupported import UnsupportedError

#: From a draft, the operator's arguments by torch's own names, and the size of the batch.
Operator = Callable[[Draft, dict[str, Any], int], Any]

#: Operators that only move elements: they move places instead.
MOVES = frozenset({
    "view", "_unsafe_view", "reshape", "flatten", "unflatten", "permute", "transpose", "t", "numpy_T", "swapaxes",
    "movedim", "squeeze", "unsqueeze", "select", "slice", "narrow", "expand", "repeat", "flip", "roll", "index",
    "index_select", "split", "split_with_sizes", "chunk", "unbind", "channel_shuffle", "pixel_shuffle",
    "pixel_unshuffle", "view_as", "expand_as", "reshape_as", "tile"
})  # fmt: skip
#: Operators that move elements as well, but only those that are floats.
MOVES_FLOATS = frozenset(
    f"{name}{axes}d" for name in ("upsample_nearest", "_upsample_nearest_exact") for axes in (1, 2)
)
#: Operators that give what they get.
SAME = frozenset({
    "clone", "detach", "alias", "contiguous", "lift_fresh_copy", "dropout", "feature_dropout", "alpha_dropout"
})  # fmt: skip
#: Operators that read nothing of a value but its shape.
SHAPED = frozenset({"zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "sym_size"})
#: Operators that check something and give nothing.
CHECKS = frozenset({"_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range"})

_SCORES = "return the scores, and take the largest of what `Graph.predict` or the client gives"
_ACTIVATE = (
    "use an activation that a graph has: relu, leaky_relu, elu, gelu, silu, mish, softplus, softsign, tanh, sigmoid"
)
_FIXED = "use BatchNorm, whose statistics are fixed after training, and fine-tune"
_BRANCH = "let nothing but activations depend on values: leaky_relu or hardtanh in place of torch.where, say"
_SEQUENCE = "use dense layers, convolutions and pooling"
#: Modules that have no place in a graph, whichever of their operators is met first: what they are.
MODULES: Mapping[str, str] = MappingProxyType({"MultiheadAttention": "attention"})
#: What to do about modules and operators that have no place in a graph.
REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("argmax", "argmin", "topk", "max", "min", "sort", "argsort"), _SCORES),
        **dict.fromkeys(("layer_norm", "group_norm", "instance_norm", "linalg_vector_norm", "var", "std"), _FIXED),
        **dict.fromkeys(("native_layer_norm", "native_group_norm", "rms_norm", "norm", "_fused_rms_norm"), _FIXED),
        "_native_batch_norm_legit": "keep running statistics (track_running_stats=True), and train them",
        **dict.fromkeys(("where", "gt", "lt", "ge", "le", "eq", "ne", "item", "masked_fill", "sign"), _BRANCH),
        **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu", "scaled_dot_product_attention"), _SEQUENCE),
        **dict.fromkeys(MODULES.values(), _SEQUENCE),
        **dict.fromkeys(("exp", "log", "sqrt", "erf", "sin", "cos", "hardshrink"), _ACTIVATE),
        **dict.fromkeys(("tanhshrink", "softshrink", "threshold", "reciprocal", "rsqrt", "erfc"), _ACTIVATE),
        "glu": "leave gates out: encrypted networks add branches and do not multiply them",
        **dict.fromkeys(("einsum", "tensordot", "bmm"), "use nn.Linear, or x @ matrix"),
        "embedding": "give the embedded vectors as inputs",
        "native_dropout": "drop out while training only, by nn.Dropout or F.dropout(x, training=self.training)",
        "rrelu_with_noise": "use LeakyReLU",
        **dict.fromkeys(
            ("bernoulli", "rand_like", "randn_like", "randint_like"), "compute the same for the same input"
        ),
        **dict.fromkeys(("conv3d", "avg_pool3d", "max_pool3d"), "use layers of images or sequences"),
        **dict.fromkeys(
            ("upsample_bicubic2d", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa", "grid_sampler"),
            'resize by mode="nearest" or "bilinear" without antialias, or convolve with fixed weights',
        ),
        **dict.fromkeys(("upsample_nearest3d", "upsample_trilinear3d"), "use layers of images or sequences"),
    }
)


def _simple(name: str, *coefficients: float) -> Operator:
    return lambda draft, a, _: draft.activation(a["self"], name, *coefficients)


def _product(draft: Draft, a: dict[str, Any], left: str, right: str, bias: Tensor | None = None) -> Value:
    """A matrix product with a constant on the right."""
    value, matrix = a[left], a[right]
    if not isinstance(value, Value) or isinstance(matrix, Value) or matrix.ndim > 2:
        raise UnsupportedError(
            "a matrix product of another kind than inputs times weights",
            "use nn.Linear; attention is no part of a graph",
        )
    result = lin.linear(draft, value, matrix.T if matrix.ndim == 2 else matrix[None], bias)
    return result if matrix.ndim == 2 else Value(result.node, result.places.squeeze(-1))


def _addmm(draft: Draft, a: dict[str, Any], batch: int) -> Value:
    if a["beta"] != 1 or a["alpha"] != 1 or isinstance(a["self"], Value):
        raise UnsupportedError("addmm with factors or a sum of two values", "use nn.Linear")
    product = _product(draft, a, "mat1", "mat2")
    return each.added(draft, product, a["self"], 1, batch)


def _pooled(draft: Draft, a: dict[str, Any], pool: type[SumPool2d | MaxPool2d]) -> tuple[Value, int]:
    dim = a.get("dim")
    return lin.reduced(draft, a["self"], [dim] if isinstance(dim, int) else dim, a.get("keepdim", False), pool)


def _mean(draft: Draft, a: dict[str, Any], _: int) -> Value:
    total, elements = _pooled(draft, a, SumPool2d)
    return draft.scaled(total, 1.0 / elements)


def _softmax(name: str) -> Operator:
    def left(_draft: Draft, a: dict[str, Any], _batch: int) -> Value:
        value, dim = a["self"], a["dim"]
        if dim % (len(value.shape) + 1) != 1:
            raise UnsupportedError(
                f"a {name} over another axis than the classes", "take it along dim=1, or leave it out"
            )
        return replace(value, link=name)

    return left


def _cast(_draft: Draft, a: dict[str, Any], _batch: int) -> Value:
    dtype = a.get("dtype")
    if dtype is not None and (not dtype.is_floating_point or dtype.itemsize < 4):
        remedy = "leave values as float32 or float64"
        if not dtype.is_floating_point:
            remedy += ", and give what integers look up, as in nn.Embedding, as vectors"
        raise UnsupportedError(f"a conversion to {dtype}", remedy)
    return a["self"]


def _batch_norm(draft: Draft, a: dict[str, Any], _: int) -> Value:
    if a["training"]:
        remedy = "export the module in evaluation mode, with running statistics (track_running_stats=True)"
        raise UnsupportedError("batch normalisation by the batch", remedy)
    names = ("input", "weight", "bias", "running_mean", "running_var", "eps")
    return lin.normalised(draft, **{name: a[name] for name in names})


def _rrelu(draft: Draft, a: dict[str, Any], _: int) -> Value:
    if a["training"]:
        raise UnsupportedError("a random slope", "use LeakyReLU")
    return draft.activation(a["self"], "leaky_relu", (a["lower"] + a["upper"]) / 2)


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "linear": lambda d, a, _: lin.linear(d, **a),
        "matmul": lambda d, a, _: _product(d, a, "self", "other"),
        "mm": lambda d, a, _: _product(d, a, "self", "mat2"),
        "mv": lambda d, a, _: _product(d, a, "self", "vec"),
        "addmm": _addmm,
        **dict.fromkeys(("conv1d", "conv2d", "conv3d"), lambda d, a, _: lin.convolution(d, **a)),
        **dict.fromkeys(
            ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
            lambda d, a, _: lin.transposed_convolution(d, **a),
        ),
        **dict.fromkeys(("avg_pool1d", "avg_pool2d"), lambda d, a, _: lin.average(d, **a)),
        **dict.fromkeys(("max_pool1d", "max_pool2d"), lambda d, a, _: lin.maximum(d, **a)),
        **dict.fromkeys(("max_pool1d_with_indices", "max_pool2d_with_indices"), lambda d, a, _: [lin.maximum(d, **a)]),
        **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d"), lambda d, a, _: lin.adaptive_average(d, **a)),
        **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d"), lambda d, a, _: lin.adaptive_maximum(d, **a)),
        **dict.fromkeys(("upsample_linear1d", "upsample_bilinear2d"), lambda d, a, _: lin.resized(d, **a)),
        "_native_batch_norm_legit_no_training": lambda d, a, _: [_batch_norm(d, {**a, "training": False}, 0)],
        "batch_norm": _batch_norm,
        "mean": _mean,
        "sum": lambda d, a, _: _pooled(d, a, SumPool2d)[0],
        "amax": lambda d, a, _: _pooled(d, a, MaxPool2d)[0],
        "pad": lambda d, a, _: lin.padded(d, **a),
        "constant_pad_nd": lambda d, a, _: lin.padded(d, mode="constant", **a),
        "cat": lambda d, a, _: lin.concatenated(d, a["tensors"], a["dim"]),
        "stack": lambda d, a, _: _stacked(d, a["tensors"], a["dim"]),
        "add": lambda d, a, batch: each.added(d, a["self"], a["other"], a["alpha"], batch),
        "sub": lambda d, a, batch: each.added(d, a["self"], a["other"], -a["alpha"], batch),
        "rsub": lambda d, a, batch: each.added(d, a["other"], a["self"], -a["alpha"], batch),
        "mul": lambda d, a, batch: each.multiplied(d, a["self"], a["other"], batch),
        "div": lambda d, a, batch: _divided(d, a, batch),
        "neg": lambda d, a, _: d.scaled(a["self"], -1.0),
        "pow": lambda d, a, _: each.power(d, a["self"], a["exponent"]),
        "square": _simple("square"),
        "relu": _simple("relu"),
        "relu6": _simple("hardtanh", 0.0, 6.0),
        "tanh": _simple("tanh"),
        "sigmoid": _simple("sigmoid"),
        "silu": _simple("silu"),
        "mish": _simple("mish"),
        "abs": _simple("leaky_relu", -1.0),
        "hardsigmoid": _simple("hardsigmoid"),
        "hardswish": _simple("hardswish"),
        "log_sigmoid": lambda d, a, _: each.log_sigmoid(d, a["self"]),
        "leaky_relu": lambda d, a, _: d.activation(a["self"], "leaky_relu", float(a["negative_slope"])),
        "hardtanh": lambda d, a, _: each.clamped(d, a["self"], a["min_val"], a["max_val"]),
        "clamp": lambda d, a, _: each.clamped(d, a["self"], a["min"], a["max"]),
        "clamp_min": lambda d, a, _: each.clamped(d, a["self"], a["min"], None),
        "clamp_max": lambda d, a, _: each.clamped(d, a["self"], None, a["max"]),
        "maximum": lambda d, a, batch: each.extreme(d, a["self"], a["other"], batch, 1.0),
        "minimum": lambda d, a, batch: each.extreme(d, a["self"], a["other"], batch, -1.0),
        "gelu": lambda d, a, _: each.gelu(d, **a),
        "elu": lambda d, a, _: each.elu(d, **a),
        "celu": lambda d, a, _: each.celu(d, **a),
        "selu": lambda d, a, _: each.selu(d, **a),
        "softplus": lambda d, a, _: each.softplus(d, **a),
        "prelu": lambda d, a, _: each.prelu(d, **a),
        "rrelu": _rrelu,
        "softmax": _softmax("softmax"),
        "_softmax": _softmax("softmax"),
        "log_softmax": _softmax("log_softmax"),
        "_log_softmax": _softmax("log_softmax"),
        "_to_copy": _cast,
        "to": _cast,
    }
)


def _stacked(draft: Draft, values: list[Value], dim: int) -> Value:
    count = len(values[0].shape) + 2
    if dim % count == 0:
        raise UnsupportedError("a stack along the batch", "stack along another axis")
    axis = dim % count - 1
    return lin.concatenated(draft, [replace(v, places=v.places.unsqueeze(axis)) for v in values], axis + 1)


def _divided(draft: Draft, a: dict[str, Any], batch: int) -> Value:
    if a.get("rounding_mode") is not None:
        raise UnsupportedError("a division that rounds", "divide without rounding")
    return each.divided(draft, a["self"], a["other"], batch)
