"""What may be exported: modules that compute what the classes of their layers say, and nothing else."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

_REMEDY = (
    "make it part of the weights first, by remove_weight_norm, remove_spectral_norm, remove_parametrizations or "
    "prune.remove of torch.nn.utils"
)

_QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


def plain_layers(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of a chain in order, those within chains as well, but for those that do nothing.

    Raises:
        TypeError: ``module`` or a layer is none, or a layer is parametrised.
        ValueError: Something besides a layer's class decides what it computes: hooks, a `forward` of its own or
            recomputed parameters; or a parameter is not finite, or has no values; or a chain holds itself.
    """
    _require_module(module)
    yield from _walk(module, "module", ())


def require_plain_modules(module: nn.Module) -> None:
    """Refuse a module that cannot be traced as it is; parametrised layers are, their weights are computed once.

    Raises:
        TypeError: ``module`` is none, or one that torch has compiled to something else.
        ValueError: It or one of its modules has hooks, a `forward` of its own, or weights that cannot be read.
    """
    _require_module(module)
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError(
            f"`module` must be the module that was scripted, got {type(module).__name__}; where that is lost, export "
            "this one to ONNX, by torch.onnx.export(..., dynamo=False)"
        )
    for name, layer in module.named_modules(prefix="module"):
        require_plain(layer, name, parametrised=True)
        for key, buffer in layer.named_buffers(name, recurse=False):
            if buffer.is_meta or buffer.is_complex() or torch.isnan(buffer).any():
                kind = "no values" if buffer.is_meta else "complex numbers" if buffer.is_complex() else "NaN"
                raise ValueError(f"`module` must have buffers of real numbers, got {kind} in {key}")


def require_no_lookups(module: nn.Module, prefix: str = "") -> None:
    """Refuse embeddings, where inputs are integers or should be.

    Args:
        module: A module.
        prefix: Its name.

    Raises:
        ValueError: It is an embedding, or one of its modules is; the message names it.
    """
    for name, layer in module.named_modules(prefix=prefix):
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
            raise ValueError(
                f"`module` must be made of what a graph has, got an embedding in `{name or 'module'}` "
                f"({type(layer).__name__}), which looks integers up; leave it out, and give the vectors that it looks "
                "up as inputs"
            )


def _require_module(module: nn.Module) -> None:
    if not isinstance(module, nn.Module):
        raise TypeError(f"`module` must be a torch module, got {type(module).__name__}")
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        raise ValueError("`module` must be exported without hooks on all modules; remove them first")


def _walk(module: nn.Module, name: str, around: tuple[nn.Module, ...]) -> Iterator[nn.Module]:
    if module in around:
        raise ValueError(f"`module` must hold layers, got a chain that holds itself as {name}")
    require_plain(module, name)
    if type(module) is nn.Sequential:
        for number, child in enumerate(module):  # a layer may come twice
            yield from _walk(child, f"{name}.{number}", (*around, module))
    elif type(module) not in (nn.Dropout, nn.Identity):
        yield module


def require_plain(layer: nn.Module, name: str, *, parametrised: bool = False) -> None:
    """Refuse a module, in its own name, where something besides its class decides what it computes.

    Args:
        layer: One module; those within are not looked at.
        name: Where it stands.
        parametrised: Whether parametrisations are the reader's to compute.

    Raises:
        TypeError: It is parametrised, or no module at all, as are children of None.
        ValueError: It has hooks, a `forward` of its own, or parameters that are recomputed, not made yet or no finite
            floats.
    """
    if not isinstance(layer, nn.Module):
        raise TypeError(f"`module` must be made of torch modules, got {layer!r} as {name}; leave it out")
    if type(layer).__module__.startswith(_QUANTISED):
        raise ValueError(f"`module` must have float weights, got {name} that is quantised; give the float module")
    if any(map(is_lazy, layer.parameters(recurse=False))):
        raise ValueError(f"`module` must have parameters, got {name} that waits for its first input; run it once")
    is_parametrised = parametrize.is_parametrized(layer)
    if is_parametrised and not parametrised:
        raise TypeError(f"`module` must hold its weights themselves, got parametrizations on {name}; {_REMEDY}")
    held = {**layer._parameters, **layer._buffers}
    for key in () if is_parametrised else ("weight", "bias"):  # to read those would compute them
        if key not in held and isinstance(getattr(layer, key, None), Tensor):
            raise ValueError(f"`module` must hold its weights themselves, got {name}.{key} recomputed; {_REMEDY}")
    if layer._forward_hooks or layer._forward_pre_hooks:
        raise ValueError(f"`module` must have no forward hooks, got one on {name}; remove it, or {_REMEDY}")
    if "forward" in vars(layer):
        raise ValueError(f"`module` must have the `forward` of its classes, got another one on {name}")
    for key, parameter in layer.named_parameters(name, recurse=False):
        _require_values(parameter, key)


def _require_values(parameter: Tensor, name: str) -> None:
    """Refuse what has no float64 of its own, or is no finite number."""
    if parameter.is_meta:
        raise ValueError(f"`module` must have weights, got {name} with no values, on the meta device; load them first")
    if parameter.layout != torch.strided or not parameter.is_floating_point():
        kind = f"{parameter.layout} {parameter.dtype}"
        raise ValueError(f"`module` must have parameters of dense floats, got {name} with {kind}")
    if not torch.isfinite(parameter.detach()).all():
        raise ValueError(f"`module` must have finite parameters, got NaN or infinity in {name}; train it again")
