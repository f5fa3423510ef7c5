"""One look at a loss: against Hessians written out, thresholds of optimizers, and known noise."""

from __future__ import annotations

import copy

import carnot
import pytest
import torch
import torch.nn.functional as F
from torch import nn


def net(seed: int = 0, width: int = 6) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Dropout(0.5), nn.Linear(width, 3)).double()


def data(n: int = 64, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    return x, (x[:, :3] + 0.5 * torch.randn(n, 3, generator=generator, dtype=torch.float64)).argmax(1)


def hessian(model: nn.Sequential, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Written out, in eval mode."""
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]
    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    model = copy.deepcopy(model).eval()

    def loss(at: torch.Tensor) -> torch.Tensor:
        parts = torch.split(at, [shape.numel() for shape in shapes])
        own = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes)}
        return F.cross_entropy(torch.func.functional_call(model, own, (x,)), y)

    found: torch.Tensor = torch.autograd.functional.hessian(loss, flat)
    return found


def numbers(report: carnot.Report) -> dict:
    return report.to_dict()["curvature"]


def test_the_sharpness_is_the_largest_eigenvalue_of_the_hessian_written_out() -> None:
    model, (x, y) = net(), data()
    expect = float(torch.linalg.eigvalsh(hessian(model, x, y))[-1])
    report = carnot.curvature(model, (x, y))
    seen = numbers(report)["sharpness"]
    assert abs(seen["value"] - expect) <= seen["error"] + 1e-9 and seen["error"] < 0.011 * expect
    assert "GRADIENT DESCENT IS STABLE UP TO A RATE OF" in report.to_dict()["headline"]["text"]
    # In single precision to what rounding allows.
    single = numbers(carnot.curvature(model.float(), (x.float(), y)))["sharpness"]
    assert abs(single["value"] - expect) <= single["error"] + 1e-4 * expect


@pytest.mark.parametrize("kind", ["sgd", "momentum", "nesterov", "rmsprop", "adam", "amsgrad", "adamw"])
def test_the_share_of_the_threshold_is_that_of_the_preconditioned_hessian(kind: str) -> None:
    model, (x, y) = net(), data()
    rate = 0.05
    parameters = model.parameters()
    optimizer: torch.optim.Optimizer = {
        "sgd": lambda: torch.optim.SGD(parameters, rate),
        "momentum": lambda: torch.optim.SGD(parameters, rate, momentum=0.9),
        "nesterov": lambda: torch.optim.SGD(parameters, rate, momentum=0.9, nesterov=True),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, rate),
        "adam": lambda: torch.optim.Adam(parameters, rate, betas=(0.8, 0.99)),
        "amsgrad": lambda: torch.optim.Adam(parameters, rate, amsgrad=True),
        "adamw": lambda: torch.optim.AdamW(parameters, rate),
    }[kind]()
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    scale = torch.ones(sum(p.numel() for p in model.parameters()), dtype=torch.float64)
    threshold = {"sgd": 2.0, "momentum": 3.8, "nesterov": 3.8 / 2.8, "rmsprop": 2.0}.get(kind)
    if kind in ("rmsprop", "adam", "amsgrad", "adamw"):
        beta, beta2 = {"adam": (0.8, 0.99)}.get(kind, (0.9, 0.999))
        name = {"rmsprop": "square_avg", "amsgrad": "max_exp_avg_sq"}.get(kind, "exp_avg_sq")
        second = torch.cat([optimizer.state[p][name].reshape(-1) for p in model.parameters()])
        if kind == "rmsprop":
            scale = second.sqrt() + 1e-8
        else:
            scale = (1 - beta**5) * ((second / (1 - beta2**5)).sqrt() + 1e-8)
            threshold = (2 + 2 * beta) / (1 - beta)
    root = (rate / scale).sqrt()
    written = root[:, None] * hessian(model, x, y) * root
    assert threshold is not None
    expect = float(torch.linalg.eigvalsh(written)[-1]) / threshold
    share = numbers(carnot.curvature(model, (x, y), optimizer=optimizer))["share_of_threshold"]
    assert abs(share["value"] - expect) <= share["error"] + 1e-9 and share["error"] <= 0.011 * expect, (share, expect)


def test_gradient_descent_goes_to_the_edge_and_the_report_says_so() -> None:
    torch.manual_seed(3)
    model, (x, y) = net(3, width=32), data(64)
    target = F.one_hot(y).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model.eval()
    before = numbers(carnot.curvature(model, (x, target), optimizer=optimizer))["share_of_threshold"]
    for _ in range(2000):
        optimizer.zero_grad()
        F.mse_loss(model(x), target).backward()
        optimizer.step()
    report = carnot.curvature(model, (x, target), optimizer=optimizer)
    share = numbers(report)["share_of_threshold"]
    assert before["value"] < 0.6 and 0.98 < share["value"] < 1.02, (before, share)
    assert report.to_dict()["headline"]["text"] == "AT THE EDGE OF STABILITY"
    assert "R322" in [finding["code"] for finding in report.findings]


def test_the_noise_scale_of_known_gradients_is_found_within_its_errors() -> None:
    """Loss ½|w − x|² at w = 0: gradients −x, tr Σ = 40 of forty coordinates, |G|² = 40 · 0.3² = 3.6."""
    z = []
    for seed in range(12):
        x = 0.3 + torch.randn(4096, 40, generator=torch.Generator().manual_seed(seed))
        model = nn.Linear(1, 40, bias=False)
        nn.init.zeros_(model.weight)
        found = carnot.curvature(
            model, (torch.ones(4096, 1), x), loss=lambda out, target: 0.5 * (out - target).pow(2).sum(1).mean()
        )
        scale = numbers(found)["noise_scale"]
        z.append((scale["value"] - 40 / 3.6) / scale["error"])
    assert 2.5 < sum(one * one for one in z) < 32.9, z
    report = str(carnot.curvature(model, (torch.ones(4096, 1), x), loss=lambda o, t: (o - t).pow(2).mean(), batch_size=1))
    assert "critical batch" in report and "of the largest one" in report


def test_everything_is_as_before_and_two_looks_are_the_same() -> None:
    model, (x, y) = net(), data()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    kept = copy.deepcopy((model.state_dict(), optimizer.state_dict(), [p.grad for p in model.parameters()]))
    state = torch.get_rng_state()
    first, second = (carnot.curvature(model, (x, y), optimizer=optimizer).to_dict() for _ in range(2))
    assert first["curvature"] == second["curvature"]
    assert torch.equal(torch.get_rng_state(), state) and model.training
    now = (model.state_dict(), optimizer.state_dict(), [p.grad for p in model.parameters()])
    for a, b in zip(kept[0].values(), now[0].values()):
        assert torch.equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(kept[2], now[2]))


def test_transformers_groups_and_ties_are_measured() -> None:
    torch.manual_seed(0)

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(11, 16)
            layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
            self.blocks = nn.TransformerEncoder(layer, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.blocks(self.embed(x)) @ self.embed.weight.T

    model = Tied()
    x = torch.randint(0, 11, (48, 7))
    optimizer = torch.optim.AdamW(carnot.param_groups(model, rate=1e-3, base_width=8))
    F.cross_entropy(model(x).flatten(0, 1), x.flatten()).backward()
    report = carnot.curvature(model, (x, x), optimizer=optimizer)
    assert "has not made a step yet" in str(report)
    optimizer.step()
    report = carnot.curvature(model, (x, x), optimizer=optimizer, batch_size=48)
    seen = numbers(report)
    assert seen["share_of_threshold"]["value"] > 0 and "differ by group" in str(report)
    assert seen["rule"]["rates"][0] < seen["rule"]["rates"][1]


def test_what_cannot_be_measured_is_told() -> None:
    model, (x, y) = net(), data()
    with pytest.raises(carnot.Error) as told:
        carnot.curvature(model, x)
    assert told.value.code == "python/no-labels"
    with pytest.raises(carnot.Error) as told:
        carnot.curvature(copy.deepcopy(model).bfloat16(), (x.bfloat16(), y))
    assert told.value.code == "python/half-precision"
    with pytest.raises(carnot.Error) as told:
        carnot.curvature(model, (x * float("nan"), y))
    assert told.value.code == "python/not-finite"
    with pytest.raises(carnot.Error) as told:
        carnot.curvature(copy.deepcopy(model).requires_grad_(False), (x, y))
    assert told.value.code == "python/no-parameters"
    few = str(carnot.curvature(model, (x[:20], y[:20])))
    assert "cannot be parted" in few
    lbfgs = carnot.curvature(model, (x, y), optimizer=torch.optim.LBFGS(model.parameters()))
    assert "threshold of LBFGS" in str(lbfgs)


def test_a_loss_that_is_flat_has_no_sharpness() -> None:
    model = nn.Linear(5, 1).double()
    x = torch.randn(40, 5, dtype=torch.float64)
    report = carnot.curvature(model, (x, torch.zeros(40, 1)), loss=lambda out, target: out.mean())
    assert "NO DIRECTION" in report.to_dict()["headline"]["text"]
