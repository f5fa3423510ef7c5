"""What the watch costs: paired runs of one training, with and without, in turns. ``python overhead.py`` prints the ratio."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import models
import numpy as np
import torch
from conftest import digits
from torch import nn

import carnot


def seconds(model: nn.Module, data: Any, steps: int, watched: bool, budget: float) -> tuple[float, int]:
    """Time of a training, and how many readings it had; making the watch is part of the time."""
    x, y = data
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    start = time.process_time()
    watch = carnot.watch(model, (x[:200], y[:200]), budget=budget, path=False) if watched else None
    for at in range(steps):
        rows = torch.arange(at * 64, at * 64 + 256) % len(x)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    spent = time.process_time() - start
    if watch is None:
        return spent, 0
    n = len(watch.steps)
    watch.close()
    return spent, n


def measured(pairs: int, steps: int, budget: float = 0.01) -> tuple[float, float, float]:
    """Mean and standard error of ln(time with / time without), and readings a run."""
    torch.set_num_threads(1)
    data = tuple(torch.from_numpy(part) for part in digits())
    logs, readings = [], []
    for pair in range(pairs + 1):
        both = {}
        # In turns, so that a drift of the machine falls on both.
        for watched in (False, True) if pair % 2 else (True, False):
            torch.manual_seed(pair)
            both[watched], n = seconds(models.mlp(8, 512), data, steps, watched, budget)
            readings.append(n)
        if pair:
            logs.append(math.log(both[True] / both[False]))
    mean = float(np.mean(logs))
    return mean, float(np.std(logs, ddof=1) / math.sqrt(len(logs))), sum(readings[2:]) / pairs


if __name__ == "__main__":
    pairs, steps = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (4, 3000)
    mean, error, readings = measured(pairs, steps)
    print(f"time with / without = {math.exp(mean):.4f} ± {error:.4f} ({pairs} pairs, {readings:.1f} readings a run)")
