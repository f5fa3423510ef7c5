"""Norms of parameters, of their gradients and of their updates; never the parameters themselves."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import torch

#: Entries of one parameter that are looked at for its update and its digest; norms are of all entries.
_ENTRIES = 1 << 18


@dataclass
class Stats:
    """What is known of one parameter."""

    norm: float
    non_finite: int
    digest: int


def stats(weight: torch.Tensor) -> Stats:
    """Norm, entries that are not finite, and a digest by which equal weights are recognised."""
    with torch.no_grad():
        value = weight.detach()
        length = torch.linalg.vector_norm(value, dtype=_wide(value))
        bad = 0 if bool(torch.isfinite(length)) else int((~torch.isfinite(value)).sum())
        seen = _some(value, _ENTRIES >> 4).float().cpu().numpy().tobytes()
    shape = repr(tuple(weight.shape)).encode()
    digest = int.from_bytes(hashlib.blake2b(seen + shape, digest_size=8).digest(), "little")
    size = float(length)
    if not math.isfinite(size) and bad < value.numel():
        size = float(torch.linalg.vector_norm(torch.nan_to_num(value.double(), 0.0, 0.0, 0.0)))
    return Stats(size if math.isfinite(size) else 0.0, bad, digest)


def norm(tensor: torch.Tensor) -> float:
    """Euclidean norm, summed in single precision at least."""
    return float(torch.linalg.vector_norm(tensor.detach(), dtype=_wide(tensor)))


def _wide(tensor: torch.Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _some(tensor: torch.Tensor, most: int) -> torch.Tensor:
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, math.ceil(flat.numel() / most))]


class Snapshot:
    """Some entries of every parameter, kept for one step of training."""

    def __init__(self, parameters: list[tuple[int, torch.Tensor]]) -> None:
        with torch.no_grad():
            self._kept = {key: (p, _some(p, _ENTRIES).clone()) for key, p in parameters}

    def updates(self) -> dict[int, float] | None:
        """Norm of the change since, for each parameter; ``None`` when nothing has changed at all, as between the
        forward passes of one accumulated step."""
        changes: dict[int, float] = {}
        with torch.no_grad():
            for key, (parameter, before) in self._kept.items():
                now = _some(parameter, _ENTRIES)
                if now.shape != before.shape or now.device != before.device:
                    continue
                change = float(torch.linalg.vector_norm((now.float() - before.float())))
                changes[key] = change * math.sqrt(parameter.numel() / max(1, before.numel()))
        return changes if any(change > 0 for change in changes.values()) else None


def told(
    weight: torch.Tensor, fan_in: int | None, gradient: float | None, update: float | None
) -> dict[str, Any]:
    """The numbers of one weight as the recording keeps them."""
    known = stats(weight)
    finite = gradient if gradient is not None and math.isfinite(gradient) else None
    return {
        "parameters": weight.numel(),
        "fan_in": fan_in,
        "norm": known.norm,
        "gradient": finite,
        "update": update if update is not None and math.isfinite(update) else None,
        "non_finite": known.non_finite,
        "digest": known.digest,
    }
