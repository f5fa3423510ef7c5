"""Transformers of PyTorch, read off by what they do, and theory beside them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import models  # noqa: E402
import transformers as forms  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import carnot  # noqa: E402

WIDTH, HEADS, DEPTH = 64, 4, 3


def tokens(samples: int = 12, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, forms.WORDS, (samples, forms.TOKENS), generator=generator)


def fused() -> nn.Module:
    return forms.Fused(WIDTH, HEADS)


def split() -> nn.Module:
    return forms.Split(WIDTH, HEADS)


def mlp() -> nn.Module:
    return forms.Mlp(WIDTH)


def number(toml: str, key: str) -> float:
    """The first value of a key."""
    found = re.search(rf"{key} = ([-+.e\d]+)", toml)
    assert found is not None, f"{key} in {toml}"
    return float(found[1])


def test_every_matrix_has_the_variance_it_was_drawn_with() -> None:
    torch.manual_seed(0)
    model = forms.drawn(forms.Model(fused, mlp), 0.05, 0.4)
    toml = carnot.describe(model, tokens())
    assert f"{{ repeat = {DEPTH}, block = [{{ residual = 1.0, block = [{{ norm = \"layer\" }}, {{ attention = {WIDTH}" in toml
    for key in ("heads = 4", "causal = true", 'act = "gelu"', f"dense = {4 * WIDTH}", f"dense = {forms.WORDS}"):
        assert key in toml, f"{key} in {toml}"
    c = WIDTH * 0.05**2
    entries = DEPTH * WIDTH * WIDTH
    for key, wanted, count in [
        ("embedding = 64, vocabulary = 60, c_w", 0.05**2, forms.WORDS * WIDTH),
        ("positional = true, c_w", 0.05**2, forms.TOKENS * WIDTH),
        ("c_query", c, entries),
        ("c_key", c, entries),
        ("c_value", c, entries),
        ("c_out", 0.16 * c, entries),
        ("dense = 256, c_w", c, 4 * entries),
        ("dense = 64, c_w", 4 * 0.16 * c, 4 * entries),
        ("dense = 60, c_w", c, forms.WORDS * WIDTH),
    ]:
        z = (number(toml, key) / wanted - 1) / math.sqrt(2 / count)
        assert abs(z) < 4, f"{key}: {number(toml, key)} against {wanted}, z = {z:.1f}"


def place(name: str, **more: Any) -> Callable[[], nn.Module]:
    return lambda: forms.Model(split, mlp, place=name, **more)


SPELLINGS: list[tuple[Callable[[], nn.Module], list[str], list[str]]] = [
    (place("post"), ['block = [{ attention = 64, heads = 4, c_query', '}] }, { norm = "layer" }, {'], ["causal"]),
    (place("sandwich"), ['c_b = 0.0 }, { norm = "layer" }] }'], ["causal"]),
    (place("deep", alpha=1.5), ["{ residual = 1.5, block = [{ attention"], []),
    (place("pre", alpha=0.5), ['{ residual = 1.0, branch = 0.5, block = [{ norm = "layer" }, { attention'], []),
    (place("pre", is_tied=True), ["{ unembedding = 60, scale = 1.0 }"], ["dense = 60"]),
    (place("pre", has_places=False), ["{ embedding = 64"], ["positional"]),
    (lambda: forms.Model(fused, mlp, norm=nn.RMSNorm), ['{ norm = "rms" }'], ['norm = "layer"']),
    (lambda: forms.Model(fused, lambda: forms.Mlp(WIDTH, lambda z: F.relu(z) ** 2)), ['act = "max(z, 0)^2"'], []),
    (lambda: forms.Model(fused, lambda: forms.Mlp(WIDTH, lambda z: F.gelu(z, approximate="tanh"))), ['act = "gelu"'], []),
    (
        lambda: forms.Model(lambda: forms.Rotary(WIDTH, HEADS), lambda: forms.Gated(WIDTH), norm=nn.RMSNorm, has_places=False),
        ['branches = "product", of = [[{ dense = 128', 'act = "silu"', "heads = 4, causal = true"],
        ["qk_norm"],
    ),
    (lambda: forms.Model(fused, lambda: forms.Gated(WIDTH, is_fused=True)), ['of = [[{ dense = 128'], []),
    (lambda: forms.Model(lambda: forms.Rotary(WIDTH, HEADS, is_normed=True), mlp), ["causal = true, qk_norm = true"], []),
    (lambda: forms.Encoder(), ["decay = ", "causal = true", 'act = "relu"'], []),
    (lambda: forms.Encoder(norm_first=True), ['block = [{ norm = "layer" }, { attention = 64, heads = 4, causal'], []),
    (lambda: forms.Encoder(is_first=True), ["input = [24, 1]", "causal = true"], []),
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(SPELLINGS)))
def test_spellings_are_told_by_what_they_do(at: int) -> None:
    make, present, absent = SPELLINGS[at]
    torch.manual_seed(at)
    model = forms.drawn(make(), 0.1)
    toml = carnot.describe(model, {"input_ids": tokens()} if isinstance(model, forms.Model) else tokens())
    for words in present:
        assert words in toml, f"{words}\n{toml}"
    for words in absent:
        assert words not in toml, f"{words}\n{toml}"
    report = carnot.predict(model, tokens())
    assert report.verdict in ("learns", "learns-at-a-cost", "will-not-learn", "cannot-tell")
    groups = {row["group"] for row in report.to_dict()["groups"]["matrices"]}
    assert {"word", "query", "value", "output", "mlp-in", "mlp-out", "head"} <= groups


@pytest.mark.parametrize(
    ("name", "deviation", "place"),
    [("norms in front", 0.1, "pre"), ("norms behind", 0.1, "post"), ("a gate", 0.09, "gate")],
)
def test_own_tokens_are_as_alike_as_theory_says(name: str, deviation: float, place: str) -> None:
    """Six networks: theory at infinite width, of networks of 128, against the mean of their own cosines."""
    found = []
    for seed in range(6):
        torch.manual_seed(seed)

        def attention() -> nn.Module:
            return forms.Split(128, HEADS)

        def branch() -> nn.Module:
            return forms.Gated(128) if place == "gate" else forms.Mlp(128)

        where = "pre" if place == "gate" else place
        model = forms.drawn(forms.Model(attention, branch, width=128, depth=4, place=where), deviation)
        report = carnot.predict(model, tokens(seed=seed)).to_dict()
        theory = [stream["similarity"] for stream in report["streams"]]
        measured = [cosine for cosine, _ in report["measured"]["cosines"]]
        assert len(theory) == len(measured) == 5
        found.append([m - t for m, t in zip(measured, theory)])
    apart = torch.tensor(found, dtype=torch.float64)
    mean, error = apart.mean(0), apart.std(0) / math.sqrt(len(found))
    # Mean field leaves out 1/width and what tokens that are the same do to attention: up to 0.03 in carnot-lab/tests/tokens.rs.
    assert bool((mean.abs() < 0.03 + 4 * error).all()), f"{name}: {mean.tolist()} ± {error.tolist()}"


def test_logits_that_are_scaled_are_counted() -> None:
    torch.manual_seed(0)
    plain = forms.drawn(forms.Model(lambda: forms.Split(WIDTH, HEADS), mlp), 0.1)
    toml = carnot.describe(plain, tokens())
    for module in plain.modules():
        if isinstance(module, forms.Split):
            module.scale = 4.0
    scaled = carnot.describe(plain, tokens())
    assert number(scaled, "c_query") == pytest.approx(16 * number(toml, "c_query"), rel=1e-3)
    assert "4 times q·k/√n" in str(carnot.predict(plain, tokens()).to_dict()["measured"]["notes"])


def test_deeper_post_norm_is_told_to_fail_with_the_variances_it_has() -> None:
    """The practitioner's model: BERT's σ at a width where it is too much, 4 and 24 blocks."""
    words = []
    for depth in (4, 24):
        torch.manual_seed(0)
        model = forms.drawn(forms.Model(split, mlp, depth=depth, place="post"), 0.14)
        report = carnot.predict(model, tokens())
        words.append(report.verdict)
    assert words == ["learns", "will-not-learn"]


def test_copies_of_one_layer_are_noted() -> None:
    torch.manual_seed(0)
    copies = carnot.predict(forms.Encoder(), tokens()).to_dict()["measured"]["notes"]
    assert any("same numbers" in note for note in copies)
    drawn = carnot.predict(forms.drawn(forms.Encoder(), 0.1), tokens()).to_dict()["measured"]["notes"]
    assert not any("same numbers" in note for note in drawn)


class Parallel(nn.Module):
    """Attention and MLP side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm, self.head = nn.Embedding(forms.WORDS, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, forms.WORDS)
        self.attention, self.mlp = fused(), mlp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.words(x)
        seen = self.norm(h)
        return self.head(h + (self.attention(seen) + self.mlp(seen)))


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = forms.Model(fused, mlp), nn.Linear(forms.WORDS, 2)
        self.inner.head = nn.Identity()  # type: ignore[assignment]
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.inner(x)["logits"].mean(1))


def grown() -> nn.Module:
    model = forms.Model(fused, mlp)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.mul_(3.0)
    return model


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Parallel(), "side by side"),
        (lambda: Pooled(), "reads one vector of a text"),
        (grown, "has the model been trained?"),
        (lambda: models.HfStyle(forms.WORDS), "no branch attends"),
        (lambda: forms.Model(fused, lambda: forms.Mlp(WIDTH, torch.sin)), "not among those that are known"),
        (lambda: nn.Sequential(nn.Embedding(forms.WORDS, 8), nn.Linear(8, 9)), "no residual blocks"),
    ],
)
def test_what_theory_does_not_follow_is_said_with_the_reason(make: Callable[[], nn.Module], why: str) -> None:
    with pytest.raises(carnot.Error) as told:
        carnot.predict(make(), tokens())
    assert told.value.code == "python/not-known"
    assert "not known, because" in str(told.value.cause) and why in str(told.value.cause)


def test_wrong_batches_are_refused() -> None:
    model = forms.Model(fused, mlp)
    for batch, code in [
        (None, "python/no-batch"),
        (torch.randn(4, 8), "python/not-known"),
        (tokens()[:, :2], "python/not-known"),
        (torch.full((4, 8), 10**6), "python/cannot-run"),
        (torch.ones(4, 99, dtype=torch.long), "python/cannot-run"),
    ]:
        with pytest.raises(carnot.Error) as told:
            carnot.predict(model, batch)
        assert told.value.code == code
    with pytest.raises(carnot.Error):
        carnot.predict("post:2x16", tokens())
    with pytest.raises(carnot.Error) as told:
        carnot.predict(model, tokens(), token_macth=0.1)
    assert "token_match" in str(told.value)


def test_the_model_is_as_before() -> None:
    torch.manual_seed(1)
    model = forms.Model(fused, mlp).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    carnot.predict(model, tokens())
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    hooks = [module._forward_hooks or module._forward_pre_hooks for module in model.modules()]
    assert not any(hooks)


def test_a_description_is_a_network_for_every_command(tmp_path: Any) -> None:
    torch.manual_seed(0)
    model = forms.drawn(forms.Model(fused, mlp), 0.1)
    path = tmp_path / "model.toml"
    path.write_text(carnot.describe(model, tokens()))
    again = carnot.predict(path, token_match=0.02)
    ours = carnot.predict(model, tokens(), token_match=0.02)
    assert again.to_dict()["streams"] == ours.to_dict()["streams"]
