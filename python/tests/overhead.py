"""What the watch costs: two trainings in turns, step by step, one of them watched.

``python overhead.py [model] [steps] [budget]`` prints the ratio of their times with its standard error. Making the watch, its hook
in every pass and its readings are part of the time; a report that is asked for afterwards is not, and is told apart.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import models
import numpy as np
import torch
from conftest import digits
from torch import nn

import carnot

#: Name → model, rows of a training batch, rows of the probe.
MODELS: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "mlp": (lambda: models.mlp(8, 512), 256, 200),
    "small-mlp": (lambda: models.mlp(3, 64), 64, 200),
    "cnn": (models.Cnn, 128, 200),
    "transformer": (models.Transformer, 128, 200),
}


@dataclass
class Pair:
    """Two trainings of one model, seconds of the processor for each step; step 0 of the watched one holds the making of the watch."""

    plain: list[float]
    watched: list[float]
    #: Of the watched one, steps with a reading in them, and the seconds of the clock that those took beyond a usual step.
    read: list[int]
    waited: float
    cost: dict[str, float]

    def ratio(self) -> tuple[float, float]:
        """Time with over time without, and its standard error from the steps without a reading."""
        whole = sum(self.plain)
        quiet = [w - p for at, (w, p) in enumerate(zip(self.watched, self.plain)) if at > 0 and at not in self.read]
        return sum(self.watched) / whole, float(np.std(quiet, ddof=1)) * math.sqrt(len(quiet)) / whole

    def of_readings(self) -> float:
        """The share that making the watch and its readings are: what the steps with them took beyond a median step."""
        usual = float(np.median(self.plain))
        beyond = [self.watched[at] - usual for at in {0, *self.read}]
        return sum(beyond) / sum(self.plain)

    def of_a_pass(self) -> float:
        """Seconds that a pass with nothing to read takes longer: the median over steps, which a busy machine moves least."""
        return float(np.median([w - p for at, (w, p) in enumerate(zip(self.watched, self.plain)) if at > 0 and at not in self.read]))


def pair(name: str, steps: int, budget: float = 0.01) -> Pair:
    """Trains both for so many steps, in turns."""
    torch.set_num_threads(1)
    make, batch, probe = MODELS[name]
    x, y = (torch.from_numpy(part) for part in digits())
    torch.manual_seed(0)
    both = [make(), make()]
    optimizers = [torch.optim.SGD(model.parameters(), 0.01) for model in both]

    def step(which: int, at: int) -> float:
        start = time.process_time()
        rows = torch.arange(at * 64, at * 64 + batch) % len(x)
        optimizers[which].zero_grad()
        nn.functional.cross_entropy(both[which](x[rows]), y[rows]).backward()
        optimizers[which].step()
        return time.process_time() - start

    for at in range(5):
        step(0, at), step(1, at)
    # What is loaded once for every watch of a process is not a part of one training.
    carnot.watch(make(), (x[:20], y[:20]), path=False).close()
    start = time.process_time()
    # The clock of the watch sees both trainings: half the share of both is the whole share of its own.
    watch = carnot.watch(both[1], (x[:probe], y[:probe]), budget=budget / 2, path=False)
    making = time.process_time() - start
    found, read, clock = Pair([], [], [], 0.0, {}), 0, []
    for at in range(steps):
        # Each goes first in every other turn.
        for which in (0, 1) if at % 2 else (1, 0):
            begun = time.perf_counter()
            (found.watched if which else found.plain).append(step(which, at))
            clock += [time.perf_counter() - begun] * which
        if watch._readings > read:
            read = watch._readings
            found.read.append(at)
            found.waited += clock[-1]
    found.waited -= len(found.read) * float(np.median(clock))
    found.watched[0] += making
    found.cost = watch.cost
    watch.report()
    found.cost["asked"] = watch.cost["asked"]
    watch.close()
    return found


if __name__ == "__main__":
    name, steps, budget = [*sys.argv[1:], *("mlp", "400", "0.01")[len(sys.argv) - 1 :]]
    found = pair(name, int(steps), float(budget))
    value, error = found.ratio()
    print(
        f"{name}, {steps} steps in {sum(found.plain):.1f} s, budget {budget}: with / without = {value:.4f} ± {error:.4f}, of which "
        f"making the watch and {len(found.read)} readings {found.of_readings():.4f}; a pass without one {1e6 * found.of_a_pass():.1f} µs; "
        f"by the clock {found.waited:.3f} s in readings, {found.cost['readings']:.3f} s by its own account; "
        f"the report took {found.cost['asked']:.2f} s"
    )
