"""Critical initialisation and rates."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
import models  # noqa: E402
from torch import nn  # noqa: E402

import carnot  # noqa: E402


def test_every_activation_gets_its_own_variance() -> None:
    for act, c_w in ((nn.Tanh, 1.0), (nn.ReLU, 2.0), (nn.SELU, 0.476771), (nn.GELU, 1.983058)):
        torch.manual_seed(0)
        model = models.mlp(depth=6, width=400, act=act)
        done = carnot.init_(model)
        assert [start.c_w for start in done.layers] == pytest.approx([c_w] * 7, rel=1e-5)
        weight = model[4].weight
        measured = float(weight.detach().double().pow(2).mean()) * 400
        # 160,000 draws: the relative standard error of a variance is sqrt(2/n).
        z = (measured / c_w - 1) / math.sqrt(2 / weight.numel())
        assert abs(z) < 4, f"{act.__name__}: {measured} against {c_w}, z = {z:.1f}"


def test_functions_are_seen_with_a_batch_and_refused_without(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(carnot.Error) as told:
        carnot.init_(models.Functional())
    assert told.value.code == "python/activation-unknown"
    done = carnot.init_(models.Functional(), data[0][:8])
    assert {start.layer: start.c_w for start in done.layers} == {"one": 1.0, "two": 1.0, "head": 2.0}


def test_signals_keep_their_size_at_depth(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.manual_seed(0)
    model = models.mlp(depth=40, width=128, act=nn.ReLU)
    x = data[0][:100]
    with torch.no_grad():
        assert float(model(x).pow(2).mean()) < 1e-2
    carnot.init_(model)
    with torch.no_grad():
        size = [float(model[:at](x).pow(2).mean()) for at in (1, 79)]
    # 40 layers of 128: fluctuations of order sqrt(5 L/n).
    assert 0.05 < size[1] / size[0] < 20


def test_branches_are_scaled_by_the_number_of_blocks(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    model = models.Transformer(depth=3)
    done = {start.layer: start for start in carnot.init_(model, data[0][:8]).layers}
    assert done["encoder.layers.0.linear2"].c_w == pytest.approx(2 / 6)
    assert done["encoder.layers.0.linear1"].c_w == 1.0
    assert "1/6" in done["encoder.layers.2.self_attn"].because
    skipped = carnot.init_(models.Cnn(), data[0][:8]).skipped
    assert skipped["blocks.0.bn1"].startswith("norm")


def test_what_is_left_is_said() -> None:
    words = torch.randint(0, 17, (4, 6))
    done = carnot.init_(models.HfStyle(), {"input_ids": words})
    assert done.skipped["lm_head"] == "its weight is that of embed"
    assert "table" in done.skipped["embed"]
    assert "left:" in repr(done) and done.to_dict()["layers"][0]["layer"] == "dense"
    frozen = models.mlp()
    frozen[2].weight.requires_grad_(False)
    before = frozen[2].weight.clone()
    assert carnot.init_(frozen).skipped["2"].startswith("frozen") and torch.equal(before, frozen[2].weight)


def test_the_generator_decides_the_draw() -> None:
    def drawn() -> torch.Tensor:
        model = models.mlp()
        carnot.init_(model, generator=torch.Generator().manual_seed(5))
        return model[0].weight.detach()

    state = torch.get_rng_state()
    torch.manual_seed(1)
    first = drawn()
    torch.manual_seed(2)
    assert torch.equal(first, drawn())
    torch.set_rng_state(state)


def test_groups_hold_every_parameter_once_and_scale_with_width() -> None:
    model = models.mlp(depth=3, width=256)
    groups = carnot.param_groups(model, rate=0.01, base_width=64, weight_decay=0.1)
    rates = {name: group["lr"] for group in groups for name in group["names"]}
    assert rates["0.weight"] == pytest.approx(0.01)
    assert rates["2.weight"] == pytest.approx(0.01 / 4)
    assert rates["6.weight"] == pytest.approx(0.01 / 4)
    assert rates["2.bias"] == pytest.approx(0.01)
    assert sorted(rates) == sorted(name for name, _ in model.named_parameters())
    assert all(group["weight_decay"] == (0.1 if "weight" in group["names"][0] else 0.0) for group in groups)
    torch.optim.AdamW(groups).step()
    sgd = {n: g["lr"] for g in carnot.param_groups(model, rate=1.0, base_width=64, optimizer="sgd") for n in g["names"]}
    assert sgd["0.weight"] == pytest.approx(4.0) and sgd["2.weight"] == pytest.approx(1.0)
    assert sgd["6.weight"] == pytest.approx(0.25)
    even = carnot.param_groups(model, rate=0.3, scaling="standard")
    assert {group["lr"] for group in even} == {0.3}
    with pytest.raises(carnot.Error):
        carnot.param_groups(model, rate=-1.0)
    with pytest.raises(carnot.Error):
        carnot.param_groups(model, rate=0.1, scaling="maximal")


def test_at_its_own_width_a_rate_is_what_was_given() -> None:
    groups = carnot.param_groups(models.mlp(depth=3, width=64), rate=0.02)
    assert {group["lr"] for group in groups} == {0.02}
