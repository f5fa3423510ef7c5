"""The watch stays inside its budget: step by step beside a training that is not watched."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import overhead  # noqa: E402


@pytest.mark.parametrize(("model", "steps"), [("small-mlp", 2000), ("mlp", 200)])
def test_a_watch_costs_less_than_one_percent(model: str, steps: int) -> None:
    found = overhead.pair(model, steps)
    value, error = found.ratio()
    assert value - 1 < 0.01 + 4 * error, f"{value:.4f} ± {error:.4f}"
    # Without the noise of the machine: what making it and its readings took.
    assert found.of_readings() < 0.01, f"{found.of_readings():.4f} with {len(found.read)} readings"
    assert found.cost["readings"] < 0.01 * found.cost["training"]


def test_a_pass_with_nothing_to_read_costs_microseconds() -> None:
    # A step of half a millisecond shows it: 5 µs, of which 4 are what PyTorch takes to call a hook that does nothing.
    found = overhead.pair("small-mlp", 2000)
    assert found.of_a_pass() < 20e-6, f"{1e6 * found.of_a_pass():.1f} µs"


def test_readings_stay_inside_a_larger_budget() -> None:
    found = overhead.pair("small-mlp", 3000, budget=0.3)
    assert found.read, "no reading fits"
    # The clock of the watch runs in both trainings, so its budget there is half. A reading may take longer than those before.
    told, training = found.cost["readings"], found.cost["training"]
    assert told < 1.5 * 0.15 * training, f"{told:.3f} s of {training:.3f} s with {len(found.read)} readings"
    # It tells the truth: the steps with a reading took that much longer by a clock of our own.
    assert found.waited == pytest.approx(told, rel=0.2, abs=0.05)
