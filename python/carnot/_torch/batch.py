"""A probe of any shape → what the model is called with, labels, and a loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from .._error import Error

#: A label that PyTorch's losses pass over.
IGNORED = -100


@dataclass
class Batch:
    """The probe as the model takes it."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: torch.Tensor | None
    samples: int
    loss: Callable[[Any, Any], torch.Tensor] | None


def read(probe: Any, loss: Callable[[Any, Any], torch.Tensor] | None = None) -> Batch:
    """Takes a probe apart: ``(x, y)``, ``x``, or a mapping of keywords, possibly with ``labels``.

    ``x`` may be a tensor, a tuple, a mapping or anything else that the model takes as its one argument. A tuple of two
    is always ``(x, y)``; ``(x, None)`` has no labels.
    """
    target = None
    x = probe
    if isinstance(probe, (tuple, list)) and len(probe) == 2:
        x, target = probe
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = {}
    if isinstance(x, Mapping):
        kwargs = {str(key): value for key, value in x.items()}
        args = ()
        if target is None and isinstance(kwargs.get("labels"), torch.Tensor):
            target = kwargs["labels"]
    elif isinstance(x, (tuple, list)):
        args = tuple(x)
    else:
        args = (x,)
    if target is not None and not isinstance(target, torch.Tensor):
        target = torch.as_tensor(target)
    samples = _samples((args, kwargs), target)
    return Batch(args, kwargs, target, samples, loss)


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor inside tuples, mappings and dataclasses, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors(getattr(value, field.name))


def mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same value with every tensor changed; what is not understood is passed as it is."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) is dict:
        return {key: mapped(item, change) for key, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(mapped(item, change) for item in value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(item, change) for item in value))
    if dataclasses.is_dataclass(value) and not isinstance(value, (type, Mapping)):
        fields = {f.name: mapped(getattr(value, f.name), change) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **fields)
    return value


def vectors(output: Any) -> torch.Tensor | None:
    """The first floating tensor of an output: its vectors."""
    return next((tensor for tensor in tensors(output) if tensor.is_floating_point()), None)


def class_labels(batch: Batch) -> torch.Tensor | None:
    """Whole-number labels, one a sample or one a position, :data:`IGNORED` where a loss passes over; ``None`` without."""
    y = batch.target
    if y is None or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        return None
    known = y[y != IGNORED]
    if y.dim() == 0 or y.shape[0] != batch.samples or y.dim() > 2 or len(known) == 0 or bool((known < 0).any()):
        return None
    return y


def objective(batch: Batch, output: Any) -> tuple[torch.Tensor, str]:
    """The number whose gradient is read, and what it is.

    The loss that was given; else the model's own (an output with ``loss``); else cross-entropy for whole-number labels and
    mean squares for others; without labels a fixed random combination of the outputs, which shows how gradients grow or
    vanish but not what they teach.
    """
    if batch.loss is not None:
        return batch.loss(output, batch.target), "loss as given"
    own = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if isinstance(own, torch.Tensor) and own.numel() == 1 and own.is_floating_point():
        return own, "loss of the model"
    logits = None
    for name in ("logits", "prediction_logits", "last_hidden_state"):
        found = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(found, torch.Tensor):
            logits = found
            break
    logits = vectors(output) if logits is None else logits
    if logits is None:
        raise Error(
            "python/no-output",
            f"the model's output ({type(output).__name__}) holds no floating tensor",
            "there is nothing to take a gradient of",
            "give loss=lambda output, target: …",
        )
    return _standard(logits, batch.target)


def _standard(logits: torch.Tensor, y: torch.Tensor | None) -> tuple[torch.Tensor, str]:
    scores = logits.float()
    if y is not None:
        y = y.to(scores.device)
        if not y.is_floating_point() and y.shape == scores.shape[:-1] and y.dtype != torch.bool:
            return F.cross_entropy(scores.flatten(0, -2), y.flatten().long(), ignore_index=IGNORED), "cross-entropy"
        if not y.is_floating_point() and scores.dim() > 2 and y.shape == scores.shape[:1] + scores.shape[2:]:
            return F.cross_entropy(scores, y.long(), ignore_index=IGNORED), "cross-entropy"
        if y.numel() == scores.numel():
            return F.mse_loss(scores, y.reshape(scores.shape).to(scores.dtype)), "mean squares"
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(scores.shape[1:], generator=generator).to(scores.device)
    return (scores * weights).sum() / scores.shape[0], "a random combination of the outputs"


def _samples(inputs: Any, target: torch.Tensor | None) -> int:
    sized = [tensor for tensor in tensors(inputs) if tensor.dim() > 0]
    if target is not None and target.dim() > 0:
        return int(target.shape[0])
    if not sized:
        raise Error(
            "python/no-samples",
            "the probe holds no tensor with samples along its first axis",
            "readings compare what layers say of different samples",
            "probe=(x, y) with x of shape [samples, …]",
        )
    return int(sized[0].shape[0])
