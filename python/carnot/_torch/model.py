"""Unwrap a model, name its modules, say what each is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn

from .._error import Error

#: Modules whose children are never called by themselves: they are read whole.
_WHOLE: tuple[type[nn.Module], ...] = (nn.MultiheadAttention, nn.RNNBase)

#: Class of a module → the kind it is recorded as, where the lower-case class name is not it.
_KINDS: dict[str, str] = {
    "multiheadattention": "attention",
    "nondynamicallyquantizablelinear": "linear",
    "conv1d": "conv1d",
    "lazylinear": "linear",
    "newgelu": "gelu",
    "newgeluactivation": "gelu",
    "geluactivation": "gelu",
    "fastgeluactivation": "gelu",
    "quickgeluactivation": "gelu",
    "pytorchgelutanh": "gelu",
    "siluactivation": "silu",
    "swish": "silu",
    "relu6": "relu6",
    "rmsnorm": "rmsnorm",
    "llamarmsnorm": "rmsnorm",
}


def unwrap(model: nn.Module) -> nn.Module:
    """The user's own module inside compiled and distributed wrappers, found by attribute."""
    if not isinstance(model, nn.Module):
        raise Error(
            "python/not-a-module",
            f"{type(model).__name__} is not a torch.nn.Module",
            "hooks are placed on modules",
            "give the module itself; a network without PyTorch is a shorthand for carnot.predict",
        )
    while True:
        inner = getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            children = dict(model.named_children())
            own = next(model.parameters(recurse=False), None)
            alone = list(children) == ["module"] and own is None
            inner = children["module"] if alone else None
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def kind(module: nn.Module) -> str:
    """Class of a module in lower case, with one word for the many names of one thing."""
    name = type(module).__name__.lower()
    # Hugging Face's GPT-2 calls a linear layer with a transposed weight Conv1D.
    if name == "conv1d" and not isinstance(module, nn.Conv1d):
        return "linear"
    return _KINDS.get(name, name.removeprefix("parametrized"))


def is_leaf(module: nn.Module) -> bool:
    """Is the module read by itself? Its children, if any, are not called."""
    if isinstance(module, _WHOLE):
        return True
    return all(name == "parametrizations" for name, _ in module.named_children())


@dataclass(frozen=True)
class Leaf:
    """A module that is read, with every name it has."""

    name: str
    kind: str
    module: nn.Module
    aliases: tuple[str, ...]


def leaves(model: nn.Module) -> list[Leaf]:
    """Every module that is read, once, in the order of the model."""
    names: dict[nn.Module, list[str]] = {}
    whole: list[str] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if any(name.startswith(outer + ".") for outer in whole):
            continue
        if is_leaf(module):
            names.setdefault(module, []).append(name or type(module).__name__)
            if next(module.children(), None) is not None:
                whole.append(name)
    return [Leaf(all[0], kind(module), module, tuple(all[1:])) for module, all in names.items()]


def weight_of(module: nn.Module) -> torch.Tensor | None:
    """The parameter that a module's scale is told by: its weight of two or more axes."""
    for name in ("weight", "in_proj_weight", "weight_ih_l0"):
        weight = getattr(module, name, None)
        if isinstance(weight, torch.Tensor) and weight.dim() >= 2:
            return weight
    own = [p for p in module.parameters(recurse=False) if p.dim() >= 2]
    return own[0] if own else None


def fan_in(module: nn.Module, weight: torch.Tensor) -> int | None:
    """Inputs of one unit; ``None`` for tables of vectors, whose units have one input."""
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return None
    if isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        taps = weight[0, 0].numel()
        strides = 1
        for stride in module.stride:
            strides *= int(stride)
        # Of the taps of a transposed convolution one in `stride` meets an input, along every axis.
        return max(1, module.in_channels // module.groups * taps // strides)
    if type(module).__name__ == "Conv1D":
        return int(weight.shape[0])
    return int(weight[0].numel())


def device_of(model: nn.Module) -> torch.device:
    """Where the model lies: the device of its first parameter or buffer."""
    tensors: list[Iterable[torch.Tensor]] = [model.parameters(), model.buffers()]
    first = next(chain.from_iterable(tensors), None)
    return torch.device("cpu") if first is None else first.device
