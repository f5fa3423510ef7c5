"""The watch reads every kind of model and changes nothing."""

from __future__ import annotations

import copy
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import models  # noqa: E402
from torch import nn  # noqa: E402

import carnot  # noqa: E402

Data = tuple[torch.Tensor, torch.Tensor]


def train(model: nn.Module, data: Data, steps: int, every: int | None) -> tuple[list[Any], Any]:
    """Trains with random order, dropout and momentum; ``every`` reads, ``None`` does not. Everything that could differ."""
    x, y = data
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    watch = None
    if every is not None:
        watch = carnot.watch(model, (x[:48], y[:48]), every=every, path=False)
    losses = []
    model.train()
    for _ in range(steps):
        rows = torch.randint(0, len(x), (32,))
        shift = random.random() + float(np.random.rand())
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows] + 0.0 * shift), y[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    state: list[Any] = [value.clone() for value in model.state_dict().values()]
    state += [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    state += [torch.get_rng_state(), torch.tensor(losses), random.random(), float(np.random.rand())]
    state += [module.training for module in model.modules()]
    return state, watch


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    return bool(a == b)


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "mlp": models.mlp,
    "functional": models.Functional,
    "cnn": models.Cnn,
    "transformer": models.Transformer,
    "post-norm": lambda: models.Transformer(norm_first=False),
    "counting": models.Counting,
    "wrapped": lambda: models.Wrapper(models.Cnn()),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_training_is_the_same_to_the_last_bit_with_and_without(family: str, data: Data) -> None:
    torch.manual_seed(0)
    model = FAMILIES[family]()
    twin = copy.deepcopy(model)
    plain, _ = train(model, data, 30, None)
    watched, watch = train(twin, data, 30, 4)
    assert len(plain) == len(watched)
    different = [at for at, (a, b) in enumerate(zip(plain, watched)) if not same(a, b)]
    assert not different, f"{family}: {len(different)} of {len(plain)} differ"
    assert watch.steps == [0, 4, 8, 12, 16, 20, 24, 28], watch
    watch.close()
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in twin.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_with_weights_is_read_with_its_gradient(family: str, data: Data) -> None:
    torch.manual_seed(0)
    model = FAMILIES[family]()
    watch = carnot.watch(model, (data[0][:40], data[1][:40]), path=False)
    layers = watch.readings()[0]["layers"]
    read = {layer["name"] for layer in layers}
    inner = model.module if isinstance(model, models.Wrapper) else model
    whole = tuple(name for name, m in inner.named_modules() if isinstance(m, nn.MultiheadAttention))
    wanted = {
        name
        for name, m in inner.named_modules()
        if getattr(m, "weight", None) is not None and not name.startswith(tuple(w + "." for w in whole) or ("\0",))
    }
    assert wanted <= read, wanted - read
    assert set(whole) <= read
    assert all("gradient" in layer["values"] for layer in layers), [
        (layer["name"], layer["missing"]) for layer in layers if "gradient" not in layer["values"]
    ]
    coverage = watch.report().coverage
    assert coverage is not None and coverage["read"] > 0


def test_roles_follow_the_additions_and_not_the_names(data: Data) -> None:
    watch = carnot.watch(models.Cnn(), (data[0][:20], data[1][:20]), path=False)
    roles = {(layer["name"], layer.get("call", 0)): layer["role"] for layer in watch.readings()[0]["layers"]}
    assert roles[("stem", 0)] == "chain" and roles[("head", 0)] == "chain"
    assert roles[("blocks.0.conv1", 0)] == "inside" and roles[("blocks.1.bn2", 0)] == "inside"
    assert roles[("blocks.0.add", 0)] == "block" and roles[("blocks.1.add", 0)] == "block"
    transformer = carnot.watch(models.Transformer(depth=1), (data[0][:20], data[1][:20]), path=False)
    layers = transformer.readings()[0]["layers"]
    assert [layer["role"] for layer in layers if layer["kind"] == "residual"] == ["block", "block"]
    assert all("block_influence" in layer["values"] or layer["values"] for layer in layers)


def test_keywords_and_dataclasses_and_tied_weights() -> None:
    torch.manual_seed(0)
    model = models.HfStyle()
    words = torch.randint(0, 17, (12, 6))
    batch = {"input_ids": words, "attention_mask": torch.ones_like(words), "labels": words}
    watch = carnot.watch(model, batch, path=False)
    step = watch.readings()[0]
    with torch.no_grad():
        model.eval()
        assert step["loss"] == pytest.approx(float(model(**batch).loss), rel=1e-5)
        model.train()
    kinds = {layer["name"]: layer["kind"] for layer in step["layers"]}
    assert kinds["dense.gelu"] == "gelu" and kinds["embed"] == "embedding" and kinds["lm_head"] == "linear"
    without = carnot.watch(model, {"input_ids": words}, path=False).readings()[0]
    assert without["loss"] is None and all("gradient" in layer["values"] for layer in without["layers"])


def test_labels_that_a_loss_passes_over_belong_to_no_class(data: Data) -> None:
    torch.manual_seed(0)
    model = models.mlp()
    x, y = data[0][:60], data[1][:60].clone()
    y[40:] = -100
    some = carnot.watch(model, (x[:40], y[:40]), path=False).readings()[0]
    step = carnot.watch(model, (x, y), path=False).readings()[0]
    assert step["loss"] == pytest.approx(some["loss"], rel=1e-5)
    for layer, expect in zip(step["layers"], some["layers"]):
        assert layer["values"]["separation"][0] == pytest.approx(expect["values"]["separation"][0], rel=1e-4)
        assert layer["values"]["kernel"] != expect["values"]["kernel"]


def test_a_module_that_is_called_twice_is_two_readings(data: Data) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.shared, self.head = nn.Linear(64, 24), nn.Linear(24, 24), nn.Linear(24, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.tanh(self.first(x))
            return self.head(torch.tanh(self.shared(torch.tanh(self.shared(x)))))

    layers = carnot.watch(Twice(), (data[0][:20], data[1][:20]), path=False).readings()[0]["layers"]
    calls = [layer.get("call", 0) for layer in layers if layer["name"] == "shared"]
    assert calls == [0, 1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_are_read(dtype: torch.dtype, data: Data) -> None:
    torch.manual_seed(0)
    model = models.mlp(act=nn.Tanh)
    reference = carnot.watch(model, (data[0][:64], data[1][:64]), path=False).readings()[0]["layers"]
    layers = carnot.watch(model.to(dtype), (data[0][:64].to(dtype), data[1][:64]), path=False).readings()[0]["layers"]
    assert [layer["name"] for layer in layers] == [layer["name"] for layer in reference]
    for layer, expect in zip(layers, reference):
        for name in ("kernel", "gradient"):
            value, wanted = layer["values"][name][0], expect["values"][name][0]
            assert value == pytest.approx(wanted, rel=0.05), (layer["name"], name)


def test_inside_autocast_the_training_keeps_its_bits(data: Data) -> None:
    def run(watched: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = models.mlp()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        if watched:
            carnot.watch(model, (data[0][:20], data[1][:20]), every=2, path=False)
        for at in range(6):
            with torch.autocast("cpu", torch.bfloat16):
                loss = nn.functional.cross_entropy(model(data[0][at * 32 :][:32]), data[1][at * 32 :][:32])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert not torch.is_autocast_enabled("cpu") and torch.is_autocast_cache_enabled()
        return [p.detach().clone() for p in model.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(run(False), run(True)))


@pytest.mark.parametrize("order", ["compile first", "watch first", "in place"])
def test_compiled_models_are_read(order: str, data: Data) -> None:
    torch.manual_seed(0)
    model = models.Functional()
    compiled: Any = model
    if order == "compile first":
        compiled = torch.compile(model, backend="eager")
    watch = carnot.watch(compiled, (data[0][:20], data[1][:20]), every=2, path=False)
    if order == "watch first":
        compiled = torch.compile(model, backend="eager")
    if order == "in place":
        model.compile(backend="eager")
    for _ in range(5):
        nn.functional.cross_entropy(compiled(data[0][:16]), data[1][:16]).backward()
    assert watch.steps == [0, 2, 4], watch
    assert watch.stopped is None
    names = [layer["name"] for layer in watch.readings()[-1]["layers"]]
    assert names == ["input", "one", "one.tanh", "drop", "two", "two.relu", "head"]


def test_updates_are_those_of_one_step(data: Data) -> None:
    torch.manual_seed(0)
    model = models.mlp(depth=2)
    model[2].weight.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    watch = carnot.watch(model, (data[0][:40], data[1][:40]), every=3, path=False)
    changes = []
    for _ in range(4):
        before = model[0].weight.detach().clone()
        loss = nn.functional.cross_entropy(model(data[0][:64]), data[1][:64])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        changes.append(float((model[0].weight.detach() - before).norm()))
    layers = {layer["name"]: layer for layer in watch.readings()[-1]["layers"]}
    assert watch.steps == [0, 3]
    assert layers["0"]["weights"]["update"] == pytest.approx(changes[2], rel=1e-4)
    assert layers["2"]["weights"]["update"] == 0.0
    assert layers["2"]["weights"]["gradient"] is None


def test_weights_frozen_everywhere_still_have_activations_with_gradients(data: Data) -> None:
    model = models.mlp()
    model.requires_grad_(False)
    layers = carnot.watch(model, (data[0][:20], data[1][:20]), path=False).readings()[0]["layers"]
    assert all("gradient" in layer["values"] for layer in layers)


def test_what_cannot_be_read_is_said(data: Data) -> None:
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(64, 10), nn.Linear(3, 3)
            self.scale = nn.Parameter(torch.ones(10))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x) * self.scale

    report = carnot.watch(Partly(), (data[0][:20], data[1][:20]), path=False).report()
    assert report.coverage is not None
    skipped = {entry["layer"]: entry["because"] for entry in report.coverage["skipped"]}
    assert skipped["unused"] == "not called on this probe"
    assert "scale" in skipped["Partly"]
    assert "unused" in report.text()


def test_a_reading_that_fails_ends_the_watch_and_not_the_training(data: Data) -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.fails = nn.Linear(64, 10), False

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.fails and not self.training:
                raise ValueError("not today")
            return self.inner(x)

    model = Fails()
    watch = carnot.watch(model, (data[0][:20], data[1][:20]), every=1, path=False)
    model(data[0][:4])
    model.fails = True
    with pytest.warns(UserWarning, match="the training goes on"):
        assert model(data[0][:4]).shape == (4, 10)
    assert watch.stopped is not None and "not today" in watch.stopped
    assert model.training and not model.inner._forward_hooks
    assert watch.report().coverage is not None


def test_a_probe_that_does_not_fit_is_refused_at_once(data: Data) -> None:
    with pytest.raises(carnot.Error) as told:
        carnot.watch("no module", data, path=False)  # type: ignore[arg-type]
    assert told.value.code == "python/not-a-module" and told.value.remedy
    with pytest.raises(carnot.Error):
        carnot.watch(models.mlp(), data, budget=0.0, path=False)
    with pytest.raises(RuntimeError):
        carnot.watch(models.mlp(), (data[0][:, :3], data[1]), path=False)


def test_the_budget_holds(data: Data) -> None:
    torch.manual_seed(0)
    model = models.mlp(depth=3, width=256)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    watch = carnot.watch(model, (data[0][:64], data[1][:64]), budget=0.1, path=False)
    end = time.perf_counter() + 6
    while time.perf_counter() < end:
        loss = nn.functional.cross_entropy(model(data[0][:256]), data[1][:256])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert len(watch.steps) > 1, f"one reading took {watch._cost:.3f} s"
    # One reading may come late in the run and be slower than those before; three times the budget it never is.
    assert watch.overhead < 0.3, f"overhead {watch.overhead:.3f} with {len(watch.steps)} readings"


def test_the_untrained_model_is_read_later_and_is_the_untrained_one(data: Data) -> None:
    torch.manual_seed(0)
    model = models.Cnn()
    at_once = carnot.watch(copy.deepcopy(model), (data[0][:40], data[1][:40]), every=10, path=False).readings()[0]
    watch = carnot.watch(model, (data[0][:40], data[1][:40]), path=False)
    assert watch.cost["readings"] < 0.5 and watch._session is None
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(data[0][:64]), data[1][:64])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    before = [(value.data_ptr(), value.clone()) for value in model.state_dict().values()]
    late = watch.readings()[0]
    after = [(value.data_ptr(), value) for value in model.state_dict().values()]
    assert late == at_once
    assert all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in zip(before, after))
    assert watch.steps == [0] and watch.report().to_dict()["steps"][-1] == 2
    assert watch.cost["asked"] > 0 and "of the training so far" in repr(watch)


def test_a_short_training_pays_no_more_than_the_making_of_the_watch(data: Data) -> None:
    model = models.mlp(depth=3, width=64)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    watch = carnot.watch(model, (data[0][:64], data[1][:64]), path=False)
    made = watch.cost["readings"]
    for at in range(100):
        # Steps of a millisecond: the hook takes 5 µs of each.
        loss = nn.functional.cross_entropy(model(data[0][:512]), data[1][:512])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    cost = watch.cost
    # The hook of every pass costs microseconds, and no reading fits into so short a training.
    assert watch._readings == 0 and cost["readings"] - made < 0.01 * cost["training"], (made, cost)
    assert watch.steps == [0]


def test_the_recording_of_a_killed_run_is_readable(tmp_path: Path) -> None:
    script = """
import sys, torch, carnot, models
torch.set_num_threads(1)
model = models.mlp()
x, y = torch.randn(40, 64), torch.arange(40) % 10
watch = carnot.watch(model, (x, y), every=1, path="run.carnot")
while True:
    torch.nn.functional.cross_entropy(model(x), y).backward()
    print("step", flush=True)
"""
    folders = [str(Path(__file__).parent), *sys.path]
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
    )
    assert child.stdout is not None
    for _ in range(5):
        assert child.stdout.readline() == "step\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    report = carnot.open(tmp_path / "run.carnot")
    assert len(report.to_dict()["steps"]) >= 4
    with (tmp_path / "run.carnot").open("ab") as file:
        file.write(b"0123 torn")
    assert carnot.open(tmp_path / "run.carnot").to_dict()["steps"] == report.to_dict()["steps"]


def test_a_recording_lies_in_runs_by_default_and_is_saved_by_its_ending(data: Data) -> None:
    with carnot.watch(models.mlp(), (data[0][:20], data[1][:20]), name="small") as watch:
        assert watch.steps == [0]
        assert watch.path is not None and watch.path.exists() and watch.path.parent == Path("runs")
        saved = watch.save("kept.carnot")
        page = watch.save("report.html")
    assert carnot.open(saved).to_dict()["profiles"] == carnot.open(watch.path).to_dict()["profiles"]
    assert page.read_text().startswith("<!doctype html>")
    assert b"weight" not in saved.read_bytes()[:0] and saved.stat().st_size < 200_000


def test_check_reads_once_and_leaves_nothing(data: Data) -> None:
    model = models.Cnn()
    before = [value.clone() for value in model.state_dict().values()]
    report = carnot.check(model, (data[0][:60], data[1][:60]))
    assert report.verdict in ("learns", "learns-at-a-cost", "will-not-learn", "cannot-tell")
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values()))
    assert not list(Path().iterdir())
    with pytest.raises(carnot.Error):
        carnot.check(model, (data[0][:60], data[1][:60]), los=None)


def test_with_post_norm_the_stream_is_behind_the_norm(data: Data) -> None:
    def blocks(norm_first: bool) -> list[str]:
        model = models.Transformer(depth=2, norm_first=norm_first)
        layers = carnot.watch(model, (data[0][:20], data[1][:20]), path=False).readings()[0]["layers"]
        return [layer["kind"] for layer in layers if layer["role"] == "block"]

    assert blocks(norm_first=True) == ["residual"] * 4
    assert blocks(norm_first=False) == ["layernorm"] * 4


def test_a_healthy_run_serves_as_the_reference(data: Data) -> None:
    def trained(broken: bool) -> carnot.Report | Path:
        torch.manual_seed(3)
        model = models.mlp(depth=6, width=48)
        watch = carnot.watch(model, data, every=20, path=f"broken-{broken}.carnot")
        layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(60):
            if broken:
                layers[3].weight.data[4:] = 0.0
            loss = nn.functional.cross_entropy(model(data[0]), data[1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if not broken:
            watch.close()
            return watch.path
        report = watch.report(reference="broken-False.carnot")
        watch.close()
        return report

    healthy = trained(broken=False)
    assert isinstance(healthy, Path)
    report = trained(broken=True)
    assert isinstance(report, carnot.Report)
    # One check needs a reference, and says so without one.
    alone, beside = (carnot.open("broken-True.carnot", reference=ref).to_dict() for ref in (None, healthy))
    unexamined = [[part for part in one["sections"] if part.get("title") == "Not examined"] for one in (alone, beside)]
    assert ["departs-from-reference" in str(part) for part in unexamined] == [True, False]
    assert beside["findings"] == report.to_dict()["findings"]
    assert carnot.check("broken-True.carnot", reference=healthy).to_dict()["findings"] == beside["findings"]
    with pytest.raises(carnot.Error):
        carnot.open("broken-True.carnot", reference="missing.carnot")


def test_passes_that_are_only_counted_are_counted_rightly(data: Data) -> None:
    model = models.mlp(depth=3, width=64)
    watch = carnot.watch(model, (data[0][:20], data[1][:20]), every=30, path=False)
    plain = carnot.watch(model, (data[0][:20], data[1][:20]), budget=1e-3, path=False)
    for at in range(100):
        model(data[0][:8])
        if at % 7 == 0:
            model.eval()
            model(data[0][:8])
            model.train()
            with torch.no_grad():
                model(data[0][:8])
    assert watch._step == plain._step == 99 and plain._until > 0
    assert watch.steps == [0, 30, 60, 90] and watch.report().to_dict()["steps"][-1] == 99


class Places(nn.Module):
    """As BERT: words, and a table of places that is looked up by one row of indices for all samples, or by a plain count."""

    def __init__(self, counts: bool) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(40, 32), nn.Embedding(16, 32)
        self.up, self.norm, self.head = nn.Linear(32, 48), nn.LayerNorm(32), nn.Linear(48, 10)
        self.counts = counts

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        places = torch.arange(ids.shape[1])
        x = self.words(ids) + self.places(places if self.counts else places[None])
        return self.head(nn.functional.gelu(self.up(self.norm(x))).mean(1))


@pytest.mark.parametrize(("counts", "length"), [(False, 8), (True, 8), (True, 16)])
def test_a_table_of_places_is_read_for_its_size_alone(counts: bool, length: int) -> None:
    torch.manual_seed(0)
    model = Places(counts)
    ids, labels = torch.randint(0, 40, (16, length)), torch.randint(0, 10, (16,))
    watch = carnot.watch(model, (ids, labels), path=False)
    layers = {layer["name"]: layer for layer in watch.readings()[0]["layers"]}
    places = layers["places"]
    assert places["role"] == "table" and layers["words"]["role"] == "chain"
    expect = float(model.places.weight[:length].detach().square().mean())
    assert places["values"]["kernel"][0] == pytest.approx(expect, rel=1e-5)
    assert "correlation" not in places["values"] and "separation" not in places["values"]
    assert places["values"]["gradient_to_weight"][0] > 0
    coverage = watch.report().coverage
    assert coverage is not None and coverage["read"] == coverage["of"] == 4 and not coverage["skipped"]


def test_the_load_curve_is_asked_while_training_and_of_a_file(data: Data, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = models.mlp(depth=5)
    x, y = data
    path = tmp_path / "run.carnot"
    watch = carnot.watch(model, (x[:100], y[:100]), every=10, path=path)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(41):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    now = watch.load()
    watch.close()
    kept = carnot.load(path)

    def loads(report: Any) -> list[float]:
        return [stage["load"]["value"] for stage in report.to_dict()["load"]["curves"][0]["stages"]]

    # A recording keeps single precision.
    assert len(loads(now)) >= 4 and loads(kept) == pytest.approx(loads(now), rel=1e-5, abs=1e-6)
    assert kept.to_dict()["command"] == "load"
    once = carnot.load(model, (x[:100], y[:100]), trained=True)
    assert once.to_dict()["command"] == "load" and "separation" in once.text()
    with pytest.raises(carnot.Error):
        carnot.load(tmp_path / "nothing.carnot")
