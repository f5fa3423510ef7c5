"""Trained networks per minute: the phase diagram of `carnot phase`, and the same networks trained by PyTorch and JAX.

``python phase_peers.py IMAGES [--carnot PATH] [--torch PYTHON] [--jax PYTHON] [--cells 8] [--rounds 3] [--cores 1 2]``

The network: batch norm of 100 inputs (MNIST, 10 × 10), seven hidden layers of 100 = linear, batch norm, leaky ReLU, dropout, then ten
outputs; cross-entropy, Adam at 1e-3, the full batch of 2560, 100 steps. Cells are slopes × dropout rates of the published diagram: 48 are
all. Every peer is a process of its own, pinned to the cores it may use, and tells the seconds of its training alone: compilation, loading
and evaluation are left out. Of Carnot, which only tells how long the whole process took, a run of one step is taken off one of 100; the
whole process is given too. On two cores a peer may use two threads, or be two processes with half of the cells each. Rounds go through
all in turns, so that what else happens on the machine meets all of them; a ratio is the mean of those of the rounds ± its standard error.

Work that counts: 2 × rows × fan-in × width for each of a linear layer's three products, but the first layer's gradient of its input. The
limit is what a product of 512 × 512 single-precision matrices reaches in the same run on the same cores.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROWS, SIDE, WIDTH, DEPTH, CLASSES, STEPS, RATE = 2560, 10, 100, 7, 10, 100, 1e-3
SLOPES, NOISES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.24, 0.28]
#: Floating-point operations of one step of one network.
WORK = 2 * ROWS * (DEPTH * 3 * WIDTH * WIDTH - SIDE * SIDE * WIDTH + 3 * WIDTH * CLASSES)
LIMIT = 512
#: Name → interpreter, networks at once (0: all of a process).
PEERS = {
    "torch loop": ("torch", 1),
    "torch batched by 8": ("torch", 8),
    "torch compiled": ("torch", 1),
    "jax jit, scan": ("jax", 1),
    "jax vmap by 8": ("jax", 8),
    "jax map": ("jax", 0),
}


def cells(count: int) -> tuple[list[float], list[float]]:
    """Slopes and dropout rates of a diagram of so many cells, evenly chosen from all."""
    rows = next(r for r in (6, 3, 2, 1) if count % r == 0 and count // r <= len(NOISES))
    spread = lambda values, n: [values[round(i * (len(values) - 1) / max(n - 1, 1))] for i in range(n)]
    return spread(SLOPES, rows), spread(NOISES, count // rows)


def idx(path: Path) -> np.ndarray:
    """An IDX file of bytes."""
    raw = path.read_bytes()
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def digits(path: Path) -> tuple[np.ndarray, ...]:
    """Training inputs and labels, then those for testing: images made smaller with a triangular filter, as Carnot does."""
    images = idx(path).astype(np.float32) / 255
    labels = idx(path.with_name(path.name.replace("images-idx3", "labels-idx1"))).astype(np.int64)
    scale = images.shape[1] / SIDE
    centres = (np.arange(SIDE)[:, None] + 0.5) * scale - 0.5
    shares = np.maximum(0, 1 - np.abs(np.arange(images.shape[1])[None] - centres) / scale)
    shares = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    small = np.einsum("ai,nij,bj->nab", shares, images, shares, optimize=True).reshape(len(images), -1)
    order = np.random.default_rng(1).permutation(len(small))
    train, test = order[:ROWS], order[ROWS:]
    return small[train], labels[train], small[test], labels[test]


def initial(rng: np.random.Generator, networks: int) -> list[np.ndarray]:
    """Parameters of so many networks: gain, shift of the inputs' norm; then weight, bias, gain, shift of every layer; no norm at the end."""
    ones, zeros = (lambda n: np.ones((networks, 1, n), np.float32)), (lambda n: np.zeros((networks, 1, n), np.float32))
    all_of, fan_in = [ones(SIDE * SIDE), zeros(SIDE * SIDE)], SIDE * SIDE
    for width in [WIDTH] * DEPTH + [CLASSES]:
        most = 1 / math.sqrt(fan_in)
        draw = lambda *shape: rng.uniform(-most, most, (networks, *shape)).astype(np.float32)
        all_of += [draw(fan_in, width), draw(1, width)]
        if width == WIDTH:
            all_of += [ones(width), zeros(width)]
        fan_in = width
    return all_of


def clock() -> np.ndarray:
    """Seconds by the wall, and those that this process has spent on processors."""
    return np.array([time.perf_counter(), time.process_time()])


def work_torch(name: str, at_once: int, chosen: list[tuple[float, float]], data: tuple[np.ndarray, ...], threads: int) -> dict[str, Any]:
    """Trains by PyTorch: each network alone, or several as batched products."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    x, y, x_test, y_test = map(torch.from_numpy, data)

    class Net(torch.nn.Module):
        """One network, of the modules that anybody would take."""

        def __init__(self, slope: float, rate: float) -> None:
            super().__init__()
            layers: list[torch.nn.Module] = [torch.nn.BatchNorm1d(SIDE * SIDE)]
            for at in range(DEPTH):
                layers += [torch.nn.Linear(SIDE * SIDE if at == 0 else WIDTH, WIDTH), torch.nn.BatchNorm1d(WIDTH)]
                layers += [torch.nn.LeakyReLU(slope)] + ([torch.nn.Dropout(rate)] if rate > 0 else [])
            self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, CLASSES))

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.layers(values)

    def alone(slope: float, rate: float) -> tuple[np.ndarray, float]:
        net = Net(slope, rate)
        run = torch.compile(net) if "compiled" in name else net
        adam = torch.optim.Adam(net.parameters(), RATE, fused=True)

        def step() -> None:
            adam.zero_grad()
            functional.cross_entropy(run(x), y).backward()
            adam.step()

        if "compiled" in name:  # its compilation must not count, and the steps of it are taken
            step()
        start = clock()
        for _ in range(STEPS - ("compiled" in name)):
            step()
        seconds = (clock() - start) * STEPS / (STEPS - ("compiled" in name))
        with torch.no_grad():
            found = net.eval()(x_test).argmax(1)
        return seconds, (found == y_test).float().mean().item()

    def together(some: list[tuple[float, float]]) -> tuple[np.ndarray, float]:
        n = len(some)
        parameters = [torch.from_numpy(p).requires_grad_() for p in initial(np.random.default_rng(1), n)]
        slope, rate = (torch.tensor([cell[i] for cell in some], dtype=torch.float32)[:, None, None] for i in (0, 1))
        running: list[list[torch.Tensor]] = [[torch.zeros(n, 1, 100), torch.ones(n, 1, 100)] for _ in range(DEPTH + 1)]

        def norm(values: torch.Tensor, gain: torch.Tensor, shift: torch.Tensor, at: int, training: bool) -> torch.Tensor:
            mean, variance = running[at]
            if training:
                variance_now, mean_now = torch.var_mean(values, 1, keepdim=True, correction=0)
                with torch.no_grad():
                    mean.lerp_(mean_now, 0.1)
                    variance.lerp_(variance_now * (ROWS / (ROWS - 1)), 0.1)
                mean, variance = mean_now, variance_now
            return (values - mean) * (gain * torch.rsqrt(variance + 1e-5)) + shift

        def forward(values: torch.Tensor, training: bool) -> torch.Tensor:
            values = norm(values.expand(n, -1, -1), parameters[0], parameters[1], 0, training)
            for at in range(DEPTH):
                weight, bias, gain, shift = parameters[2 + 4 * at : 6 + 4 * at]
                values = norm(torch.baddbmm(bias, values, weight), gain, shift, at + 1, training)
                values = torch.where(values > 0, values, slope * values)
                if training:
                    values = values * ((torch.rand(values.shape) >= rate) / (1 - rate))
            return torch.baddbmm(parameters[-1], values, parameters[-2])

        adam = torch.optim.Adam(parameters, RATE, fused=True)
        start = clock()
        for _ in range(STEPS):
            adam.zero_grad()
            logits = forward(x, True)
            (functional.cross_entropy(logits.flatten(0, 1), y.repeat(n)) * n).backward()
            adam.step()
        seconds = clock() - start
        with torch.no_grad():
            found = forward(x_test, False).argmax(2)
        return seconds, (found == y_test).float().mean(1).sum().item()

    if at_once == 1:
        done = [alone(*cell) for cell in chosen]
    else:
        done = [together(chosen[at : at + at_once]) for at in range(0, len(chosen), at_once)]
    wall, processor = sum(s for s, _ in done)
    return {"seconds": wall, "processor": processor, "accuracy": sum(a for _, a in done) / len(chosen)}


def work_jax(name: str, at_once: int, chosen: list[tuple[float, float]], data: tuple[np.ndarray, ...], _threads: int) -> dict[str, Any]:
    """Trains by JAX: jit of a scan over steps, for one network, for several (vmap), or for one after another (map)."""
    import jax
    from jax import numpy as jnp

    # The usual generator takes longer than the rest of dropout.
    jax.config.update("jax_default_prng_impl", "unsafe_rbg")
    x, y, x_test, y_test = map(jnp.asarray, data)

    def norm(values: Any, gain: Any, shift: Any, running: Any) -> tuple[Any, Any]:
        mean, variance = running if running is not None else (values.mean(0), values.var(0))
        after = (values - mean) * (gain * jax.lax.rsqrt(variance + 1e-5)) + shift
        return after, (mean, variance)

    def forward(parameters: Any, values: Any, slope: Any, rate: Any, key: Any, running: Any) -> tuple[Any, Any]:
        seen = []
        values, stats = norm(values, parameters[0], parameters[1], running and running[0])
        seen.append(stats)
        for at in range(DEPTH):
            weight, bias, gain, shift = parameters[2 + 4 * at : 6 + 4 * at]
            values, stats = norm(values @ weight + bias, gain, shift, running and running[at + 1])
            seen.append(stats)
            values = jnp.where(values > 0, values, slope * values)
            if key is not None:
                draws = jax.random.bits(jax.random.fold_in(key, at), values.shape, jnp.uint16)
                values = jnp.where(draws >= rate * 65536, values / (1 - rate), 0)
        return values @ parameters[-2] + parameters[-1], seen

    def loss(parameters: Any, slope: Any, rate: Any, key: Any) -> tuple[Any, Any]:
        logits, seen = forward(parameters, x, slope, rate, key, None)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean(), seen

    def step(state: Any, at: Any) -> tuple[Any, None]:
        parameters, first, second, running, slope, rate, key = state
        gradient, seen = jax.grad(loss, has_aux=True)(parameters, slope, rate, jax.random.fold_in(key, at))
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradient)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradient)]
        c1, c2 = 1 - 0.9 ** (at + 1.0), 1 - 0.999 ** (at + 1.0)
        parameters = [p - RATE * (m / c1) / (jnp.sqrt(v / c2) + 1e-8) for p, m, v in zip(parameters, first, second)]
        running = [(0.9 * a + 0.1 * m, 0.9 * b + 0.1 * v * (ROWS / (ROWS - 1))) for (a, b), (m, v) in zip(running, seen)]
        return (parameters, first, second, running, slope, rate, key), None

    def train(parameters: Any, slope: Any, rate: Any, key: Any) -> Any:
        zeros = [jnp.zeros_like(p) for p in parameters]
        running = [(jnp.zeros(100), jnp.ones(100))] * (DEPTH + 1)
        state = (parameters, zeros, zeros, running, slope, rate, key)
        return jax.lax.scan(step, state, jnp.arange(STEPS))[0]

    def test(state: Any) -> Any:
        return (forward(state[0], x_test, state[4], state[5], None, state[3])[0].argmax(1) == y_test).mean()

    n = len(chosen)
    parameters = [jnp.asarray(p[:, 0] if p.shape[1] == 1 else p) for p in initial(np.random.default_rng(1), n)]
    slope, rate = (jnp.asarray([cell[i] for cell in chosen], jnp.float32) for i in (0, 1))
    everything = (parameters, slope, rate, jax.random.split(jax.random.key(1), n))
    at_once = min(at_once or n, n)
    if "map" in name and "vmap" not in name:
        run = lambda some: jax.lax.map(lambda one: train(*one), some)
    elif at_once > 1:
        run = lambda some: jax.vmap(train)(*some)
    else:
        run = lambda some: jax.tree.map(lambda leaf: leaf[None], train(*jax.tree.map(lambda leaf: leaf[0], some)))
    parts = [jax.tree.map(lambda leaf: leaf[at : at + at_once], everything) for at in range(0, n, at_once)]
    compiled = jax.jit(run).lower(parts[0]).compile()
    start = clock()
    done = [jax.block_until_ready(compiled(part)) for part in parts]
    wall, processor = clock() - start
    hits = [jax.vmap(test)(state) for state in done]
    return {"seconds": wall, "processor": processor, "accuracy": float(sum(h.sum() for h in hits)) / n}


def work_limit(threads: int) -> dict[str, Any]:
    """Operations a second of square products, and of those of a layer, for two seconds each: in the best single product, in the best
    tenth of a second, and by processor time."""
    import torch

    torch.set_num_threads(threads)

    def speed(m: int, k: int, n: int) -> dict[str, float]:
        a, b, out = torch.rand(m, k), torch.rand(k, n), torch.empty(m, n)
        one, ends = 2 * m * k * n, [time.perf_counter()]
        start = clock()
        while ends[-1] < ends[0] + 2:
            torch.mm(a, b, out=out)
            ends.append(time.perf_counter())
        processor = (clock() - start)[1]
        ends = np.array(ends)
        # Of the products that begin at each, those that end within a tenth of a second.
        window = [(np.searchsorted(ends, begin + 0.1) - 1 - at) * one / 0.1 for at, begin in enumerate(ends) if begin + 0.1 <= ends[-1]]
        return {"single": one / np.diff(ends).min(), "best": max(window), "processor": one * (len(ends) - 1) / processor}

    shapes = {"square": (LIMIT, LIMIT, LIMIT), "layer": (ROWS, WIDTH, WIDTH)}
    return {f"{name} {key}": rate for name, shape in shapes.items() for key, rate in speed(*shape).items()}


def worker(task: dict[str, Any]) -> dict[str, Any]:
    """What a process of a peer does."""
    if task["name"] == "limit":
        return work_limit(task["threads"])
    kind, at_once = PEERS[task["name"]]
    work = work_torch if kind == "torch" else work_jax
    chosen = [tuple(cell) for cell in task["cells"]]
    return work(task["name"], at_once, chosen, digits(Path(task["images"])), task["threads"])


def launch(python: str, task: dict[str, Any], cpus: set[int]) -> subprocess.Popen[str]:
    """A process of a peer on these cores."""
    threads = str(len(cpus))
    env = os.environ | {key: threads for key in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [python, __file__, "--worker", json.dumps(task | {"threads": len(cpus)})]
    pin = lambda: os.sched_setaffinity(0, cpus)
    return subprocess.Popen(command, env=env, preexec_fn=pin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def answers(processes: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """What they say, once all are done."""
    outputs = [process.communicate()[0] for process in processes]
    return [json.loads(output.splitlines()[-1]) if output.strip() else {} for output in outputs]


def peer(python: str, name: str, images: str, chosen: list[tuple[float, float]], cpus: list[int], split: bool) -> dict[str, Any]:
    """Trains all cells: in one process on these cores, or in one process for each."""
    if not split:
        return answers([launch(python, {"name": name, "images": images, "cells": chosen}, set(cpus))])[0]
    parts = [chosen[at :: len(cpus)] for at in range(len(cpus))]
    tasks = [launch(python, {"name": name, "images": images, "cells": part}, {cpu}) for part, cpu in zip(parts, cpus)]
    done = answers(tasks)
    if not all(done):
        return {}
    accuracy = sum(d["accuracy"] * len(part) for d, part in zip(done, parts)) / len(chosen)
    return {"seconds": max(d["seconds"] for d in done), "processor": sum(d["processor"] for d in done), "accuracy": accuracy}


def carnot(program: str, images: str, count: int, cpus: list[int], steps: int) -> dict[str, Any]:
    """The diagram by `carnot phase`, from start to end of the process, with the load curves read."""
    slopes, noises = cells(count)
    command = [program, "phase", "--data", images, "--side", str(SIDE), "--train", str(ROWS), "--scaling", "unit", "--noise", "dropout"]
    command += ["--chains", "0", "--sharpness", "0", "--epochs", str(steps), "--threads", str(len(cpus)), "--json"]
    command += ["--slopes", ",".join(map(str, slopes)), "--noises", ",".join(map(str, noises))]
    with tempfile.TemporaryDirectory() as folder:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        pin = lambda: os.sched_setaffinity(0, set(cpus))
        done = subprocess.run(command, cwd=folder, preexec_fn=pin, capture_output=True, text=True, check=True)
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report = json.loads(done.stdout)
    accuracy = np.mean(report.get("test_accuracy", report.get("extra", {}).get("test_accuracy", math.nan)))
    return {"seconds": seconds, "processor": processor, "accuracy": float(accuracy)}


def mean(values: list[float]) -> str:
    """Mean ± standard error."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.fmean(values):.3g} ± {error:.1g}"


def measure(given: argparse.Namespace, cpus: list[int]) -> None:
    """All peers on these cores, in turns, and a table."""
    slopes, noises = cells(given.cells)
    chosen = [(slope, noise) for slope in slopes for noise in noises]
    python = {"torch": given.torch, "jax": given.jax}
    names = [(name, split) for name in PEERS for split in ([False, True] if len(cpus) > 1 else [False])]
    names = [(name, split) for name, split in names if not given.peers or any(p in name for p in given.peers)]
    taken: dict[str, list[dict[str, float]]] = {}
    limits: list[dict[str, float]] = []
    for turn in range(given.rounds):
        parts = answers([launch(given.torch, {"name": "limit"}, {cpu}) for cpu in cpus])
        limits.append({key: sum(part[key] for part in parts) / 1e9 for key in parts[0]})
        long, short = (carnot(given.carnot, given.images, given.cells, cpus, steps) for steps in (STEPS, 1))
        alone = {key: (long[key] - short[key]) * STEPS / (STEPS - 1) for key in ("seconds", "processor")}
        taken.setdefault("carnot", []).append(long | alone)
        taken.setdefault("carnot, whole process", []).append(long)
        for name, split in names if turn % 2 == 0 else names[::-1]:
            done = peer(python[PEERS[name][0]], name, given.images, chosen, cpus, split)
            if done:
                taken.setdefault(name + (", a process each" if split else ""), []).append(done)
            print(f"  {turn} {name} {done}", file=sys.stderr)
    print(f"\n{len(cpus)} core(s), {given.cells} networks, {given.rounds} rounds; products, GFLOP/s:")
    for key in limits[0]:
        print(f"  {key}: {mean([limit[key] for limit in limits])}")
    print(f"{'':34} {'networks/min':>14} {'time / carnot':>14} {'GFLOP/s':>14} {'of the limit':>14} {'test accuracy':>14}")
    # By the wall, then by processor time, as if all cores had done nothing else.
    for key, limit, heading in (("seconds", "square best", "by the wall"), ("processor", "square processor", "by processor time")):
        print(heading)
        for label, runs in taken.items():
            seconds = [run[key] / (len(cpus) if key == "processor" else 1) for run in runs]
            own = [run[key] / (len(cpus) if key == "processor" else 1) for run in taken["carnot"]]
            rate = [given.cells * STEPS * WORK / s / 1e9 for s in seconds]
            columns = [
                mean([60 * given.cells / s for s in seconds]),
                mean([s / first for s, first in zip(seconds, own)]),
                mean(rate),
                mean([100 * r / top[limit] for r, top in zip(rate, limits)]) + " %",
                f"{runs[-1]['accuracy']:.3f}",
            ]
            print(f"  {label:32} " + " ".join(f"{column:>14}" for column in columns))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="?", help="MNIST images, IDX; the labels lie beside them")
    parser.add_argument("--carnot", default="carnot")
    parser.add_argument("--torch", default=sys.executable, help="Python with torch and numpy")
    parser.add_argument("--jax", default=sys.executable, help="Python with jax and numpy")
    parser.add_argument("--cells", type=int, default=8, help="networks: 48 are the diagram")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--peers", nargs="*", help="only peers with one of these in their names")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(worker(json.loads(given.worker))))
        return
    own = sorted(os.sched_getaffinity(0))
    for count in given.cores:
        measure(given, own[:count])


if __name__ == "__main__":
    main()
