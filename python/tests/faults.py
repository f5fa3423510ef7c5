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
    #: What the first findings should speak of: the layer, or the beginning of its path; ``None`` for a control.
    layer: str | None
    make: Callable[[], nn.Module]
    #: Code that must be among the findings at that layer.
    code: str = ""
    rate: float = 0.05
    steps: int = 150
    #: Layer → factor on its rate.
    rates: dict[str, float] | None = None
    #: Share of the labels that is drawn anew.
    redrawn: float = 0.0
    #: What is done to the model before, and after its training.
    before: Callable[[Any], object] | None = None
    after: Callable[[Any], object] | None = None
    #: Factor on the inputs.
    inputs: float = 1.0
    adam: bool = False


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


def _part(model: nn.Module, name: str) -> Any:
    return dict(model.named_modules())[name]


def _scaled(name: str, factor: float) -> Callable[[nn.Module], None]:
    def scale(model: nn.Module) -> None:
        _part(model, name).weight.data.mul_(factor)

    return scale


def _all_scaled(factor: float) -> Callable[[nn.Module], None]:
    def scale(model: nn.Module) -> None:
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.data.mul_(factor)

    return scale


def _he(model: nn.Module) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)


def _set(name: str, key: str, value: Any) -> Callable[[nn.Module], None]:
    return lambda model: setattr(_part(model, name), key, value)


def _insert(at: int, module: nn.Module) -> Callable[[Any], None]:
    return lambda model: model.insert(at, module)


def _swap(a: str, b: str) -> Callable[[nn.Module], None]:
    def swap(model: nn.Module) -> None:
        one, two = _part(model, a), _part(model, b)
        first = {key: value.clone() for key, value in one.state_dict().items()}
        one.load_state_dict(two.state_dict())
        two.load_state_dict(first)

    return swap


def _copy(a: str, b: str) -> Callable[[nn.Module], None]:
    return lambda model: _part(model, b).load_state_dict(_part(model, a).state_dict())


class _Detach(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach()


class _Root(nn.Module):
    """|x| as the root of a square: its slope at 0 is 0/0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(x * x)


class _Half(nn.Linear):
    """A layer that ends in half precision, at a scale that it does not hold."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (super().forward(x) * 3e4).half().float()


def _norms(depth: int = 6, width: int = 64) -> nn.Sequential:
    layers: list[nn.Module] = []
    for at in range(depth):
        layers += [nn.Linear(64 if at == 0 else width, width), nn.LayerNorm(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def _post_norm(depth: int) -> nn.Module:
    return models.Transformer(depth, 32, norm_first=False)


FAULTS = [
    Fault("healthy relu", None, _mlp()),
    Fault("healthy tanh", None, _mlp(act=nn.Tanh)),
    Fault("healthy norms", None, _norms),
    Fault("healthy residual", None, models.Residual),
    Fault("healthy transformer", None, lambda: models.Transformer(4), adam=True, rate=1e-3, steps=60),
    Fault("PyTorch's default before 40 layers of tanh", "", _mlp(40, 64, nn.Tanh, critical=False)),
    Fault("PyTorch's default before 12 layers of relu", "0", _mlp(12, critical=False), "S113"),
    Fault("default sigmoid", "0", _mlp(8, act=nn.Sigmoid, critical=False), "S113", steps=60),
    Fault("dead layer", "4", _mlp(dead=4), "S114"),
    Fault("frozen layer", "4", _mlp(frozen=4), "R311"),
    Fault("rate x 100 at one layer", "4", _mlp(), "R312", rate=0.02, rates={"4": 100.0}),
    Fault("rate x 0.01 at one layer", "4", _mlp(), "R311", rates={"4": 0.01}),
    Fault("four layers that the optimizer was not given", "0", _mlp(), "R311", rates=dict.fromkeys("0246", 0.0)),
    Fault("rate far too small", "0", _mlp(), "R313", rate=1e-8, steps=60),
    Fault("bottleneck of 2 units", "4", _mlp(narrow=4), "W211"),
    Fault("one layer x 20 too large", "4", _mlp(act=nn.Tanh, scaled=(4, 20.0)), "S113"),
    Fault("one layer x 20 before a norm", "6", _norms, "S117", before=_scaled("6", 20.0), steps=60),
    Fault("one layer of a branch x 0.02", "blocks.3.fc1", models.Residual, "S117", before=_scaled("blocks.3.fc1", 0.02), steps=60),
    Fault("saturated layer", "4", _mlp(act=nn.Tanh), "S115", after=_scaled("4", 30.0)),
    Fault("gain of 0.01", "7", _norms, "S118", before=_scaled("7", 0.01), steps=60),
    Fault("gain of 50", "blocks.3.norm", models.Residual, "S118", before=_scaled("blocks.3.norm", 50.0), steps=60, rate=0.01),
    Fault("bias of 30", "4", _mlp(), "S124", before=lambda model: model[4].bias.data.fill_(30.0), steps=30, rate=1e-3),
    Fault("residual scale forgotten", "blocks.0", lambda: models.Residual(24, norm="none"), "S116", before=_he, rate=1e-4, steps=20),
    Fault("one branch without its scale", "blocks.3", models.Residual, "S119", before=_set("blocks.3", "scale", 20.0), steps=60, rate=0.01),
    Fault("dead branch", "blocks.3", models.Residual, "W215", before=_set("blocks.3", "scale", 0.0), steps=60),
    Fault("block without its skip", "blocks.3", models.Residual, "W216", before=_set("blocks.3", "has_skip", False), steps=60),
    Fault(
        "late blocks that do nothing beside it",
        "blocks.",
        models.Residual,
        "W213",
        before=_set("blocks.3", "scale", 20.0),
        steps=60,
        rate=0.01,
    ),
    Fault("exploding init", "0", _mlp(12), "G212", before=_all_scaled(3.0), rate=1e-7, steps=10),
    Fault("slope of 0/0", "6", _mlp(), "G213", before=_insert(6, _Root()), steps=20),
    Fault("detached", "6", _mlp(), "G215", before=_insert(6, _Detach())),
    Fault("overflow in half precision", "4", _mlp(), "S111", before=lambda model: model.__setitem__(4, _Half(64, 64)), steps=10),
    Fault("copied layer", "6", _mlp(), "W212", before=_copy("4", "6")),
    Fault("copied layer, after training", "6", _mlp(), "W212", after=_copy("4", "6")),
    Fault("exchanged layers", "4", _mlp(), "T513", after=_swap("4", "8"), steps=300),
    Fault("undone by an exchanged layer", "4", _mlp(), "L303", after=_swap("4", "8"), steps=300, adam=True, rate=1e-3),
    Fault("head x 50", "12", _mlp(), "S123", before=_scaled("12", 50.0), steps=20, rate=1e-5),
    Fault("inputs not scaled", "input", _mlp(), "S122", inputs=100.0, steps=20, rate=1e-6),
    Fault("rate far too large", "0", _mlp(act=nn.Tanh), "T512", rate=30.0, steps=30),
    Fault("sigmoid at one of six relu", "4", _mlp(), "W214", before=lambda model: model.__setitem__(5, nn.Sigmoid())),
    Fault("queries and keys x 8", "encoder.layers.2.self_attn", lambda: models.Transformer(4), "S121", before=lambda model: model.encoder.layers[2].self_attn.in_proj_weight.data[:64].mul_(8.0), steps=20),
    Fault("post-norm residuals at depth 24", "blocks.0", lambda: models.Residual(24, norm="post"), "G214", steps=30),
    Fault("post-norm at depth 24", "encoder", lambda: _post_norm(24), "G214", steps=40),
    Fault("label noise, four fifths", None, _mlp(), redrawn=0.8, steps=300),
    Fault("label noise, two fifths", None, _mlp(), "T514", redrawn=0.4, steps=300),
    Fault("label noise, two fifths, behind norms", None, _norms, "T514", redrawn=0.4, steps=300),
    Fault("label noise, three tenths, convolutions", None, models.Cnn, "T514", redrawn=0.3, steps=600, adam=True, rate=1e-3),
]


def run(fault: Fault) -> carnot.Report:
    """Trains the model under a watch and reports."""
    torch.manual_seed(0)
    x, y = (torch.from_numpy(part) for part in digits())
    if fault.redrawn:
        wrong = torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < fault.redrawn
        y = torch.where(wrong, torch.randint(0, 10, (len(y),), generator=torch.Generator().manual_seed(2)), y)
    x = x * fault.inputs
    model = fault.make()
    if fault.before is not None:
        fault.before(model)
    factors = fault.rates or {}
    groups = [
        {"params": list(m.parameters()), "lr": fault.rate * factors.get(name, 1.0)}
        for name, m in model.named_modules()
        if not list(m.children()) and list(m.parameters())
    ]
    simple = isinstance(model, nn.Sequential)
    given = groups if simple else model.parameters()
    make = torch.optim.Adam if fault.adam else torch.optim.SGD
    optimizer = make(given, fault.rate)
    watch = carnot.watch(model, (x[:200], y[:200]), every=max(1, fault.steps // 5), path=False, name=fault.name)
    for _ in range(fault.steps):
        rows = torch.randint(200, len(x), (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    if fault.after is not None:
        fault.after(model)
        model(x[rows])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = watch.report()
    watch.close()
    return report


def row(fault: Fault, report: carnot.Report) -> str:
    """One line of the table."""
    found = "; ".join(f"{f['code']} {f.get('name', '')} at {f['at']}" for f in report.findings[:4]) or "nothing"
    return f"{fault.name:<45} {report.verdict or '':<18} {found}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for fault in FAULTS:
        print(row(fault, run(fault)), flush=True)
