"""Language models: loads in nats and for a reader, attention, and the three faults of small transformers."""

from __future__ import annotations

import math
import sysconfig
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import carnot  # noqa: E402
from carnot._torch import attention, language  # noqa: E402

CHARACTERS, CONTEXT, WIDTH = 64, 32, 32


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, WIDTH // 4)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.attn, self.ln2 = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.attends = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.attends:
            x = x + self.attn(self.ln1(x))
        return x + self.fc2(F.gelu(self.fc1(self.ln2(x))))


class Characters(nn.Module):
    """A pre-norm model of characters."""

    def __init__(self, depth: int = 6) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(CHARACTERS, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CHARACTERS)
        self.without: int | None = None

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        h = self.token(ids) + self.place(torch.arange(ids.shape[1]))
        for at, block in enumerate(self.blocks):
            h = h if at == self.without else block(h)
        return self.head(self.norm(h))


@pytest.fixture(scope="module")
def text() -> torch.Tensor:
    """Program text: the standard library's own."""
    source = Path(sysconfig.get_paths()["stdlib"])
    all_text = "".join((source / f"{name}.py").read_text(encoding="utf-8") for name in ("argparse", "typing", "inspect"))
    known = {c: at for at, c in enumerate(sorted(set(all_text), key=lambda c: -all_text.count(c))[: CHARACTERS - 1])}
    return torch.tensor([known.get(c, CHARACTERS - 1) for c in all_text])


def batch(text: torch.Tensor, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    starts = torch.randint(0, len(text) - CONTEXT - 1, (n,), generator=torch.Generator().manual_seed(seed))
    rows = text[starts[:, None] + torch.arange(CONTEXT + 1)]
    return rows[:, :-1], rows[:, 1:]


def trained(text: torch.Tensor, plant: Any = None, steps: int = 60) -> carnot.Report:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Characters()
    if plant is not None:
        plant(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    watch = carnot.watch(model, batch(text, 96, 1), every=steps // 2, path=False, name="characters")
    for step in range(steps):
        x, y = batch(text, 16, 100 + step)
        optimizer.zero_grad()
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        optimizer.step()
    report = watch.report()
    trained.last = watch.readings()[-1]  # type: ignore[attr-defined]
    watch.close()
    return report


def dead(model: Any) -> None:
    for layer in (model.blocks[3].attn.proj, model.blocks[3].fc2):
        for parameter in layer.parameters():
            nn.init.zeros_(parameter).requires_grad_(False)


def frozen_large(model: Any) -> None:
    for parameter in model.blocks[2].parameters():
        parameter.requires_grad_(False)
        if parameter.dim() > 1:
            parameter.data.mul_(6)


PLANTS: list[tuple[str, str, Any]] = [
    ("dead", "blocks.3", dead),
    ("frozen and large", "blocks.2", frozen_large),
    ("without attention", "blocks.3", lambda model: setattr(model.blocks[3], "attends", False)),
    ("dropped", "blocks.4", lambda model: setattr(model, "without", 4)),
]


def test_a_healthy_model_is_left_alone_and_its_loads_add_up(text: torch.Tensor) -> None:
    report = trained(text)
    assert [f for f in report.findings if f["level"] != "note"] == [], report.findings
    step = trained.last  # type: ignore[attr-defined]
    blocks = [layer for layer in step["layers"] if layer["role"] == "block"]
    assert len(blocks) == 12
    lens = [layer["values"]["lens_loss"] for layer in blocks]
    assert lens[-1][0] == pytest.approx(step["loss"], rel=1e-4)
    loads = [layer["values"]["load_lens"][0] for layer in blocks]
    assert sum(loads[1:]) == pytest.approx(lens[0][0] - lens[-1][0], abs=1e-4)
    for layer in blocks:
        share, error = layer["values"]["unexplained_token"]
        assert 0 < share < 1.1 and 0 < error < 0.1
        assert "separation" not in layer["values"] and "load" not in layer["values"], "misleads for tokens"
        assert layer["values"]["load_token"][1] > 0
    forgotten = [layer["values"]["unexplained_current"][0] for layer in blocks]
    assert forgotten[0] < 0.5


@pytest.mark.parametrize(("layer", "plant"), [plant[1:] for plant in PLANTS], ids=[plant[0] for plant in PLANTS])
def test_the_block_is_named(text: torch.Tensor, layer: str, plant: Any) -> None:
    report = trained(text, plant)
    serious = [finding for finding in report.findings if finding["level"] != "note"]
    assert serious, report.findings
    assert all(f["at"].split(".")[:2] == layer.split(".") for f in serious), [(f["code"], f["at"]) for f in serious]


def test_labels_that_the_model_shifts_are_recognised(text: torch.Tensor) -> None:
    class Shifting(Characters):
        def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> Any:  # type: ignore[override]
            logits = super().forward(input_ids)
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
            return {"loss": loss, "logits": logits}

    torch.manual_seed(3)
    model = Shifting(2)
    ids = batch(text, 32, 5)[0]
    watch = carnot.watch(model, {"input_ids": ids, "labels": ids}, every=1, path=False)
    step = watch.readings()[0]
    watch.close()
    blocks = [layer for layer in step["layers"] if layer["role"] == "block"]
    assert blocks[-1]["values"]["lens_loss"][0] == pytest.approx(step["loss"], rel=1e-3)


def test_the_reader_finds_what_is_there_and_nothing_else() -> None:
    generator = torch.Generator().manual_seed(0)
    samples, per_sample, classes = 200, 20, 8
    sample = torch.arange(samples).repeat_interleave(per_sample)
    tokens = torch.randint(0, classes, (samples * per_sample,), generator=generator)
    noise = torch.randn(len(tokens), 32, generator=generator)
    written = noise.clone()
    written[:, :classes] += 30 * F.one_hot(tokens, classes)
    found = language.unexplained(written, tokens, sample)
    assert found is not None and found[0] < 0.05
    nothing = language.unexplained(noise, tokens, sample)
    assert nothing is not None
    share, influence = nothing
    error = share * float(influence.std()) / math.sqrt(len(influence))
    # A reader of noise pays for what it fits: above 1, by less than its units over its rows.
    assert -4 * error < share - 1 < 4 * error + 2 * 32 / 2000, (share, error)


def test_the_error_of_the_reader_is_its_scatter() -> None:
    shares, told = [], []
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        sample = torch.arange(100).repeat_interleave(10)
        tokens = torch.randint(0, 4, (1000,), generator=generator)
        rows = torch.randn(1000, 16, generator=generator)
        rows[:, :4] += 1.5 * F.one_hot(tokens, 4)
        found = language.unexplained(rows, tokens, sample)
        assert found is not None
        shares.append(math.log(found[0]))
        told.append(float(found[1].std()) / math.sqrt(len(found[1])))
    scatter = float(torch.tensor(shares).std())
    # Forty draws know a standard deviation to 11 %; the reader's own luck in fitting is not in its error.
    assert 0.6 < scatter / (sum(told) / len(told)) < 1.6, (scatter, sum(told) / len(told))


def test_attention_is_told_as_it_is() -> None:
    torch.manual_seed(0)
    q = torch.zeros(4, 2, 8, 16)
    told = dict((name, value) for name, value, _ in attention.told(F.scaled_dot_product_attention, (q, q, q), {})[1])
    assert told["attention_entropy"] == pytest.approx(1.0, abs=1e-6) and told["attention_logit"] == 0
    sharp = 40 * torch.eye(8, 16).expand(4, 2, 8, 16)
    told = dict((name, value) for name, value, _ in attention.told(F.scaled_dot_product_attention, (sharp, sharp, q), {})[1])
    assert told["attention_entropy"] < 1e-3 and told["attention_logit"] == pytest.approx(1600 / 4)
    causal = attention.told(F.scaled_dot_product_attention, (q, q, q), {"is_causal": True})[1]
    assert dict((name, value) for name, value, _ in causal)["attention_entropy"] == pytest.approx(1.0, abs=1e-6)


def test_pytorch_s_own_attention_is_read_as_the_fused_one() -> None:
    torch.manual_seed(0)
    module = nn.MultiheadAttention(16, 4, batch_first=True)
    x = 3 * torch.randn(6, 5, 16)
    weights = module(x, x, x, average_attn_weights=False)[1]
    entropy = float(torch.special.entr(weights.detach()).sum(-1).mean() / math.log(5))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.head = module, nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))

    watch = carnot.watch(Model(), (x, torch.arange(6) % 3), every=1, path=False)
    values = {layer["name"]: layer["values"] for layer in watch.readings()[0]["layers"]}
    watch.close()
    assert values["attention"]["attention_entropy"][0] == pytest.approx(entropy, rel=1e-4)
