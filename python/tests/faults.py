"""Planted faults on real digits: what the report finds, beside healthy controls. ``python faults.py`` prints the table."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import models
import torch
from conftest import digits
from torch import nn

import carnot


@dataclass
class Fault:
    """A model with one thing wrong."""

    name: str
    #: Part of the layer's name that the first finding should speak of; ``None`` for a control.
    layer: str | None
    make: Callable[[], nn.Module]
    rate: float = 0.05
    steps: int = 150
    #: Layer → factor on its rate.
    rates: dict[str, float] | None = None
    noisy_labels: bool = False


def _mlp(depth: int = 6, width: int = 64, act: type[nn.Module] = nn.ReLU, **wrong: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        model = models.mlp(depth, width, act)
        if wrong.get("critical", True):
            carnot.init_(model)
        with torch.no_grad():
            if "dead" in wrong:
                model[wrong["dead"]].bias.fill_(-30.0)
            if "scaled" in wrong:
                at, factor = wrong["scaled"]
                model[at].weight.mul_(factor)
        if "frozen" in wrong:
            model[wrong["frozen"]].requires_grad_(False)
        if "narrow" in wrong:
            at = wrong["narrow"]
            model[at] = nn.Linear(width, 2)
            model[at + 2] = nn.Linear(2, width)
        return model

    return make


FAULTS = [
    Fault("healthy relu", None, _mlp()),
    Fault("healthy tanh", None, _mlp(act=nn.Tanh)),
    Fault("PyTorch's default before 40 layers of tanh", "", _mlp(40, 64, nn.Tanh, critical=False)),
    Fault("dead layer", "4", _mlp(dead=4)),
    Fault("frozen layer", "4", _mlp(frozen=4)),
    Fault("rate x 100 at one layer", "4", _mlp(), rate=0.02, rates={"4": 100.0}),
    Fault("rate x 0.01 at one layer", "4", _mlp(), rates={"4": 0.01}),
    Fault("bottleneck of 2 units", "4", _mlp(narrow=4)),
    Fault("one layer x 20 too large", "4", _mlp(act=nn.Tanh, scaled=(4, 20.0))),
    Fault("post-norm at depth 24", "encoder", lambda: models.Transformer(24, 32, norm_first=False), steps=40),
    Fault("label noise", None, _mlp(), noisy_labels=True, steps=300),
]


def run(fault: Fault) -> carnot.Report:
    """Trains the model under a watch and reports."""
    torch.manual_seed(0)
    x, y = (torch.from_numpy(part) for part in digits())
    if fault.noisy_labels:
        wrong = torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.8
        y = torch.where(wrong, torch.randint(0, 10, (len(y),), generator=torch.Generator().manual_seed(2)), y)
    model = fault.make()
    factors = fault.rates or {}
    groups = [
        {"params": list(m.parameters()), "lr": fault.rate * factors.get(name, 1.0)}
        for name, m in model.named_modules()
        if not list(m.children()) and list(m.parameters())
    ]
    simple = isinstance(model, nn.Sequential)
    optimizer = torch.optim.SGD(groups if simple else model.parameters(), fault.rate, momentum=0.0)
    watch = carnot.watch(model, (x[:200], y[:200]), every=max(1, fault.steps // 5), path=False, name=fault.name)
    for _ in range(fault.steps):
        rows = torch.randint(200, len(x), (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = watch.report()
    watch.close()
    return report


def row(fault: Fault, report: carnot.Report) -> str:
    """One line of the table."""
    found = "; ".join(f"{f['code']} {f.get('name', '')} at {f['at']}" for f in report.findings[:3]) or "nothing"
    return f"{fault.name:<45} {report.verdict or '':<18} {found}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for fault in FAULTS:
        print(row(fault, run(fault)), flush=True)
