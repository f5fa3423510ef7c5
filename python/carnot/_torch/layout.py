"""A tensor → ``[samples, positions, width]``, at most so many of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

#: Samples of a probe that are read; the rest is cut off before the model sees it.
SAMPLES = 256
#: Numbers of one call that leave the device: 8 MiB. Beyond it positions are left out, evenly.
NUMBERS = 1 << 21
#: Positions of a sample that are read at most.
POSITIONS = 64

#: Kinds whose units lie along the second axis.
_CHANNELS_FIRST = ("conv", "batchnorm", "instancenorm", "groupnorm", "pool", "unfold", "upsample", "syncbatchnorm")
#: Kinds that leave the axes as they found them.
_EITHER = ("dropout", "identity")


@dataclass(frozen=True)
class Layout:
    """How a tensor is read."""

    #: Axis of the samples: 0, or 1 where time comes first.
    batch_axis: int
    #: Samples are folded into the first axis together with this many positions.
    folded: int
    is_channels_first: bool
    positions: int
    #: Every so many-th position is read.
    stride: int
    width: int
    #: One row for all samples: a table that is looked up by place.
    is_table: bool = False


def layout(shape: torch.Size, kind: str, samples: int, before: bool) -> Layout | str:
    """How a tensor of this shape is read, or why it is not.

    * ``before``: whether the call before had its units along the second axis
    """
    if len(shape) == 0 or 0 in shape:
        return "no vectors: a single number" if len(shape) == 0 else "no vectors: it is empty"
    folded, batch_axis = 1, 0
    if shape[0] != samples:
        if len(shape) > 2 and shape[1] == samples:
            batch_axis = 1
        elif shape[0] > samples and shape[0] % samples == 0 and len(shape) <= 2:
            folded = shape[0] // samples
        else:
            return f"no vectors per sample: shape {list(shape)} for {samples} samples"
    rest = [size for axis, size in enumerate(shape) if axis != batch_axis]
    if folded > 1:
        rest = [folded, *rest]
    is_first = len(rest) > 1 and folded == 1 and _is_channels_first(kind, len(rest), before)
    if not rest:
        rest = [1]
    width = rest[0] if is_first else rest[-1]
    positions = 1
    for size in rest:
        positions *= size
    positions //= width
    return Layout(batch_axis, folded, is_first, positions, -(-positions // _kept(samples, width)), width)


def looks_up_places(indices: Any, samples: int) -> bool:
    """Are rows of a table looked up by place: one row of indices for all samples, or a plain count?"""
    if not isinstance(indices, torch.Tensor) or indices.is_floating_point() or indices.dim() not in (1, 2):
        return False
    if indices.dim() == 2:
        return samples > 1 and indices.shape[0] == 1
    return indices.numel() > 1 and bool((indices.diff() == 1).all())


def table(shape: torch.Size, samples: int) -> Layout:
    """How the rows of such a table are read: once for every sample."""
    positions, width = shape.numel() // shape[-1], shape[-1]
    return Layout(0, 1, False, positions, -(-positions // _kept(samples, width)), width, is_table=True)


def _kept(samples: int, width: int) -> int:
    return max(1, min(POSITIONS, NUMBERS // (samples * width)))


def _is_channels_first(kind: str, axes: int, before: bool) -> bool:
    if kind.startswith("adaptive") or any(word in kind for word in _CHANNELS_FIRST):
        return True
    if "linear" in kind or "layernorm" in kind or "rmsnorm" in kind or "embedding" in kind or "attention" in kind:
        return False
    return before if axes > 1 else False


def array(tensor: torch.Tensor, how: Layout, samples: int) -> np.ndarray[Any, Any]:
    """The numbers as float32, ``samples × positions × width`` in a row; left out on the device, then moved."""
    x = tensor.detach()
    if how.is_table:
        x = x.reshape(1, -1, how.width).expand(samples, -1, -1)
    if how.batch_axis == 1:
        x = x.transpose(0, 1)
    x = x.reshape(samples, how.width, -1).transpose(1, 2) if how.is_channels_first else x.reshape(samples, -1, how.width)
    x = x[:, :: how.stride]
    # Always a copy: what comes later may write into the same memory.
    x = x.to(dtype=torch.float32, copy=True, memory_format=torch.contiguous_format).cpu()
    return x.reshape(-1).numpy()


def read_positions(how: Layout) -> int:
    """Positions that are left."""
    return -(-how.positions // how.stride)
