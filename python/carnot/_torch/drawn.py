"""How weights were drawn: variances with the number of entries they rest on, layers as TOML, blocks that are alike as one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

Layer = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """A variance, measured over so many entries."""

    value: float
    entries: int

    @staticmethod
    def of(tensor: torch.Tensor | None, times: float = 1.0) -> Drawn:
        """Mean square of the entries, times a factor; zero where there are none."""
        if tensor is None:
            return Drawn(0.0, 1)
        return Drawn(square(tensor) * times, tensor.numel())

    def times(self, factor: float) -> Drawn:
        """The same, scaled."""
        return Drawn(self.value * factor, self.entries)

    def plus(self, other: Drawn) -> Drawn:
        """Of a sum of two."""
        return Drawn(self.value + other.value, min(self.entries, other.entries))


def square(tensor: torch.Tensor) -> float:
    """Mean square."""
    return float(tensor.detach().double().pow(2).mean())


def factor(out: torch.Tensor, of: torch.Tensor) -> tuple[float, float]:
    """s of the nearest out = s·of, and the share of ``out`` that is not it."""
    out, of = out.double().flatten(), of.double().flatten()
    power, whole = float(of @ of), float(out @ out)
    s = float(out @ of) / power if power > 0 else 0.0
    return s, float((out - s * of).pow(2).sum()) / whole if whole > 0 else 0.0


def cosine(stream: torch.Tensor) -> tuple[float, float | None]:
    """Mean cosine of two positions of ``[samples, positions, width]``, and its error over samples."""
    x = stream.double()
    whole = x.pow(2).sum((1, 2)).clamp(min=1e-300)
    cosines = (x.sum(1).pow(2).sum(1) - whole) / (x.shape[1] - 1) / whole
    n = cosines.numel()
    return float(cosines.mean()), float(cosines.std() / math.sqrt(n)) if n > 1 else None


def places(rest: torch.Tensor) -> Layer:
    """Vectors ``[positions, width]`` that are added by place, whatever made them: their size, and how alike they are."""
    layer: Layer = {"positional": True, "c_w": Drawn.of(rest)}
    t = rest.shape[0]
    unit = F.normalize(rest, dim=1)
    alike = (float(unit.sum(0).pow(2).sum()) - t) / (t * (t - 1))
    if alike > 0.02:
        layer["decay"] = decay(min(alike, 0.999), t)
    return layer


def decay(alike: float, t: int) -> float:
    """s at which the mean of exp(−|p − q|²/s) over pairs of t places is ``alike``."""
    low, high = 1e-3, 1e12
    for _ in range(100):
        middle = math.sqrt(low * high)
        found = sum(2 * (t - gap) * math.exp(-gap * gap / middle) for gap in range(1, t)) / (t * (t - 1))
        low, high = (middle, high) if found < alike else (low, middle)
    return round(low, 6)


def dense(matrix: tuple[Drawn, Drawn, int]) -> Layer:
    """A dense layer of C_W, C_b and so many outputs."""
    c, b, outputs = matrix
    return {"dense": outputs, "c_w": c, "c_b": b}


def text(value: Any) -> str:
    """As TOML writes it."""
    if isinstance(value, Drawn):
        return f"{value.value:.6g}" if value.value > 0 else "0.0"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {text(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text(item) for item in value) + "]"
    if isinstance(value, float):
        written = f"{value:.6g}"
        return written if any(sign in written for sign in ".en") else f"{written}.0"
    return str(value)


def pooled(blocks: list[list[Layer]]) -> list[Layer] | None:
    """One block that stands for all: where they differ by no more than drawing does, with mean variances; ``None`` otherwise."""
    try:
        found: list[Layer] = _pooled(blocks)
    except _Unlike:
        return None
    return found


class _Unlike(Exception):
    pass


def _pooled(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, Drawn):
        mean = sum(value.value for value in values) / len(values)
        # Five standard errors of a variance of Gaussian numbers.
        if any(abs(value.value - mean) > (0.005 + 5 * math.sqrt(2 / value.entries)) * mean for value in values):
            raise _Unlike
        return Drawn(mean, sum(value.entries for value in values))
    if isinstance(first, dict):
        if any(list(value) != list(first) for value in values):
            raise _Unlike
        return {key: _pooled([value[key] for value in values]) for key in first}
    if isinstance(first, list):
        if any(len(value) != len(first) for value in values):
            raise _Unlike
        return [_pooled([value[at] for value in values]) for at in range(len(first))]
    if any(value != first for value in values):
        raise _Unlike
    return first


def are_copies(blocks: list[list[Layer]]) -> bool:
    """Were the blocks drawn once and copied: are their variances the same to the last bit?"""
    return len(blocks) > 1 and all(block == blocks[0] for block in blocks[1:])
