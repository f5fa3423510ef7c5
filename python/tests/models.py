"""Small models of every family that the watch must read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def mlp(depth: int = 4, width: int = 32, act: type[nn.Module] = nn.ReLU, inputs: int = 64) -> nn.Sequential:
    layers: list[nn.Module] = []
    for at in range(depth):
        layers += [nn.Linear(inputs if at == 0 else width, width), act()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


class Functional(nn.Module):
    """Activations as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)
        self.drop = nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.two(self.drop(torch.tanh(self.one(x))))))


class Block(nn.Module):
    """A residual block of convolutions, with batch norm and an addition in place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        out += x
        return F.relu(out, inplace=True)


class Cnn(nn.Module):
    def __init__(self, channels: int = 8, blocks: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.relu(self.stem(x.reshape(-1, 1, 8, 8))))
        return self.head(self.drop(x.mean((2, 3))))


class Residual(nn.Module):
    """A stack of residual blocks of two linear layers; norms before, behind, or none."""

    def __init__(self, depth: int = 8, width: int = 32, norm: str = "pre") -> None:
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.blocks = nn.Sequential(*(ResidualBlock(width, norm) for _ in range(depth)))
        self.final, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.final(self.blocks(self.stem(x))))


class ResidualBlock(nn.Module):
    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        self.norm = nn.Identity() if norm == "none" else nn.LayerNorm(width)
        self.fc1, self.act, self.fc2 = nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        self.is_post, self.scale, self.has_skip = norm == "post", 1.0, True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.scale * self.fc2(self.act(self.fc1(x if self.is_post else self.norm(x))))
        out = x + branch if self.has_skip else branch
        return self.norm(out) if self.is_post else out


class Transformer(nn.Module):
    """Rows of a digit as tokens."""

    def __init__(self, depth: int = 2, width: int = 32, norm_first: bool = True) -> None:
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(torch.zeros(8, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.1, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embed(x.reshape(-1, 8, 8)) + self.position).mean(1))


@dataclass
class Output:
    """As Hugging Face's model outputs: a dataclass with a loss that may be missing."""

    loss: torch.Tensor | None
    logits: torch.Tensor


class HfStyle(nn.Module):
    """Keywords in, a dataclass out, embedding and head tied."""

    def __init__(self, words: int = 17, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.norm = nn.LayerNorm(width)
        self.dense = nn.Linear(width, width)
        self.lm_head = nn.Linear(width, words, bias=False)
        self.lm_head.weight = self.embed.weight

    def forward(self, input_ids: torch.Tensor, attention_mask: Any = None, labels: Any = None) -> Output:
        h = self.embed(input_ids)
        h = h + F.gelu(self.dense(self.norm(h)))
        logits = self.lm_head(h)
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return Output(loss, logits)


class Wrapper(nn.Module):
    """In the style of DataParallel: the model is an attribute."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


class Counting(nn.Module):
    """Counts its calls and draws random numbers in every mode: what a careless probe would disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 10)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.calls: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.inner(x + 0.01 * torch.randn_like(x))
