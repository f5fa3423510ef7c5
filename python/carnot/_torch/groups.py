"""Rates for each layer, by the scaling that is asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .. import _native
from .._error import Error
from . import model as tree

_SCALINGS = ("maximal-update", "neural-tangent", "standard")


def param_groups(
    model: nn.Module,
    *,
    rate: float,
    scaling: str,
    optimizer: str,
    base_width: int | None,
    weight_decay: float | None,
) -> list[dict[str, Any]]:
    """See :func:`carnot.param_groups`."""
    if not rate > 0:
        raise Error("config/out-of-range", f"rate is {rate}", "it must be above 0", "rate=0.01")
    for key, value, known in (("scaling", scaling, _SCALINGS), ("optimizer", optimizer, ("adam", "sgd"))):
        if value not in known:
            raise Error(
                "config/unknown-word", f'no {key} "{value}"', f"known are {', '.join(known)}", f'{key}="{known[0]}"'
            )
    model = tree.unwrap(model)
    placed = _placed(model)
    hidden = [width for role, width in placed.values() if role == "hidden"]
    base = base_width or (min(hidden) if hidden else 0)
    groups: dict[tuple[str, float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        role, width = placed.get(id(parameter), ("bias", parameter.numel()))
        wide = width / base if base else 1.0
        factor = _native.rate_factor(scaling, role, optimizer, wide)
        decays = parameter.dim() >= 2
        group = groups.setdefault((role, factor, decays), {"params": [], "lr": rate * factor, "names": [], "role": role})
        group["params"].append(parameter)
        group["names"].append(name)
        if weight_decay is not None:
            group["weight_decay"] = weight_decay if decays else 0.0
    return list(groups.values())


def _placed(model: nn.Module) -> dict[int, tuple[str, int]]:
    """Where each weight sits and the width that counts for it: of its outputs at the input, else of its inputs."""
    weights: list[tuple[torch.Tensor, int | None, int]] = []
    biases: dict[int, tuple[str, int]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.dim() >= 2:
                inputs = tree.fan_in(module, parameter)
                is_table = inputs is None
                transposed = type(module).__name__ == "Conv1D" or "ConvTranspose" in type(module).__name__
                outputs = int(parameter.shape[1]) if is_table or transposed else int(parameter.shape[0])
                weights.append((parameter, inputs, outputs))
            else:
                biases[id(parameter)] = ("bias", parameter.numel())
    placed: dict[int, tuple[str, int]] = {}
    matrices = [at for at, (_, inputs, _) in enumerate(weights) if inputs is not None]
    tables = {id(table) for table, inputs, _ in weights if inputs is None}
    for at, (weight, inputs, outputs) in enumerate(weights):
        if id(weight) in placed:
            continue
        is_first = inputs is None or (not tables and at == matrices[0])
        is_last = bool(matrices) and at == matrices[-1] and len(matrices) > 1
        if is_first:
            placed[id(weight)] = ("input", outputs)
        elif is_last:
            placed[id(weight)] = ("output", int(inputs or 1))
        else:
            placed[id(weight)] = ("hidden", int(inputs or 1))
    return placed | {key: value for key, value in biases.items() if key not in placed}
