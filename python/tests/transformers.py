"""Transformers as people write them: the same thing in many spellings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

WORDS, TOKENS = 60, 24


def drawn(model: nn.Module, deviation: float, out: float = 1.0) -> nn.Module:
    """Every matrix and table from N(0, σ²), those that end a branch times ``out``, biases 0."""
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            ends = any(part in name for part in ("proj.weight", "down", "linear2", "out_proj"))
            nn.init.normal_(weight, 0.0, deviation * (out if ends else 1.0))
        elif "bias" in name:
            nn.init.zeros_(weight)
    return model


class Encoder(nn.Module):
    """PyTorch's own layers, with sines for places, as in its tutorial."""

    def __init__(self, depth: int = 3, width: int = 64, norm_first: bool = False, is_first: bool = False) -> None:
        super().__init__()
        self.embedding, self.width, self.is_first = nn.Embedding(WORDS, width), width, is_first
        places, rates = torch.arange(TOKENS)[:, None], torch.exp(torch.arange(0, width, 2) * (-math.log(1e4) / width))
        self.register_buffer("sines", torch.stack([(places * rates).sin(), (places * rates).cos()], -1).flatten(1))
        self.sines: torch.Tensor
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.1, norm_first=norm_first, batch_first=not is_first)
        last = nn.LayerNorm(width) if norm_first else None
        self.encoder = nn.TransformerEncoder(layer, depth, norm=last, enable_nested_tensor=False)
        self.head = nn.Linear(width, WORDS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        h = self.embedding(x) * math.sqrt(self.width) + self.sines[: x.shape[1]]
        if not self.is_first:
            return self.head(self.encoder(h, mask=mask, is_causal=True))
        return self.head(self.encoder(h.transpose(0, 1), mask=mask)).transpose(0, 1)


class Fused(nn.Module):
    """Causal attention of one matrix for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.all, self.proj, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = (z.unflatten(-1, (self.heads, -1)).transpose(1, 2) for z in self.all(x).chunk(3, -1))
        return self.proj(F.scaled_dot_product_attention(*parts, is_causal=True).transpose(1, 2).flatten(2))


class Split(nn.Module):
    """Attention written out: three matrices, a softmax, no mask; logits times ``scale``."""

    def __init__(self, width: int, heads: int, scale: float = 1.0) -> None:
        super().__init__()
        self.value, self.key, self.query = (nn.Linear(width, width) for _ in range(3))
        self.proj, self.heads, self.scale = nn.Linear(width, width), heads, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (way(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for way in (self.query, self.key, self.value))
        weights = torch.softmax(q @ k.transpose(-1, -2) * (self.scale / math.sqrt(q.shape[-1])), dim=-1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class Rotary(nn.Module):
    """Keys and values of fewer heads, places turned into queries and keys, norms of each head where asked."""

    def __init__(self, width: int, heads: int, is_normed: bool = False) -> None:
        super().__init__()
        self.q_proj, self.k_proj = nn.Linear(width, width, bias=False), nn.Linear(width, width // 2, bias=False)
        self.v_proj, self.o_proj = nn.Linear(width, width // 2, bias=False), nn.Linear(width, width, bias=False)
        self.norms = nn.ModuleList(nn.RMSNorm(width // heads) for _ in range(2)) if is_normed else None
        self.heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (way(x).unflatten(-1, (-1, x.shape[-1] // self.heads)).transpose(1, 2) for way in (self.q_proj, self.k_proj, self.v_proj))
        if self.norms is not None:
            q, k = self.norms[0](q), self.norms[1](k)
        out = F.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True, enable_gqa=True)
        return self.o_proj(out.transpose(1, 2).flatten(2))


def turned(x: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2])[:, None] * 1e4 ** (-torch.arange(half) / half)
    one, two = x[..., :half], x[..., half:]
    return torch.cat([one * angle.cos() - two * angle.sin(), one * angle.sin() + two * angle.cos()], -1)


class Mlp(nn.Module):
    def __init__(self, width: int, act: Callable[[torch.Tensor], torch.Tensor] = F.gelu) -> None:
        super().__init__()
        self.up, self.down, self.act = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.act(self.up(x)))


class Gated(nn.Module):
    """One matrix for gate and value where ``is_fused``."""

    def __init__(self, width: int, is_fused: bool = False) -> None:
        super().__init__()
        self.ways = nn.ModuleList(nn.Linear(width, n * width, bias=False) for n in ((4,) if is_fused else (2, 2)))
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up, gate = [way(x) for way in self.ways] if len(self.ways) == 2 else self.ways[0](x).chunk(2, -1)
        return self.down(up * F.silu(gate))


class Block(nn.Module):
    """A branch with its skip, norms where ``place`` says: pre, post, deep, sandwich."""

    def __init__(self, inside: nn.Module, width: int, place: str, norm: Callable[[int], nn.Module], alpha: float) -> None:
        super().__init__()
        self.inside, self.place, self.alpha = inside, place, alpha
        self.one = norm(width)
        self.two = norm(width) if place == "sandwich" else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.place in ("post", "deep"):
            return self.one(self.inside(x) + self.alpha * x)
        return x + self.two(self.inside(self.one(x))) * self.alpha


class Model(nn.Module):
    """A language model of any of these."""

    def __init__(
        self,
        attention: Callable[[], nn.Module],
        mlp: Callable[[], nn.Module],
        width: int = 64,
        depth: int = 3,
        place: str = "pre",
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        has_places: bool = True,
        is_tied: bool = False,
        alpha: float = 1.0,
    ) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, width, padding_idx=0), nn.Embedding(TOKENS, width) if has_places else None
        self.drop = nn.Dropout(0.1)
        halves = (Block(make(), width, place, norm, alpha) for _ in range(depth) for make in (attention, mlp))
        self.blocks = nn.Sequential(*halves)
        self.last = norm(width) if place in ("pre", "sandwich") else nn.Identity()
        self.head = nn.Linear(width, WORDS, bias=False)
        if is_tied:
            self.head.weight = self.words.weight

    def forward(self, input_ids: torch.Tensor, labels: Any = None) -> dict[str, torch.Tensor]:
        h = self.words(input_ids)
        if self.places is not None:
            h = h + self.places(torch.arange(input_ids.shape[1]))
        return {"logits": self.head(self.last(self.blocks(self.drop(h))))}
