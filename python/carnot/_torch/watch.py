"""When to read, what it may cost, and the recording."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import _native
from .._error import Error
from .._report import Report
from . import batch as probes
from . import model as tree
from . import reading, weights
from .start import Start
from .layout import SAMPLES

#: Fewer training passes than this between two readings are not worth the change.
_SHORTEST = 1
#: What stands for a label that a loss passes over.
_NO_CLASS = (1 << 32) - 1
#: What a reading is taken to cost before the first one, which tells: so many forward passes over the probe, and seconds a call. Both
#: are high for what was measured, so that the first reading waits rather than exceeds the budget.
_PASSES, _SECONDS = 5.0, 0.01
#: Seconds that a hook adds to a pass in which it only counts, measured inside trainings (overhead.py); most of it is PyTorch's own,
#: which calls a module that has a hook another way.
_COUNTING = 5e-6
#: Most passes that are only counted before the clock is looked at again.
_LONGEST_SLEEP = 1000


class Watch:
    """Readings of a model while it trains. Made by :func:`carnot.watch`."""

    def __init__(
        self,
        model: nn.Module,
        probe: Any,
        *,
        budget: float = 0.01,
        every: int | None = None,
        path: str | os.PathLike[str] | bool | None = None,
        loss: Callable[[Any, Any], torch.Tensor] | None = None,
        trained: bool = False,
        pool: str | None = None,
        name: str | None = None,
    ) -> None:
        if not 0 < budget <= 1:
            raise _range("budget", budget, "above 0, at most 1", "budget=0.01")
        if every is not None and every < 1:
            raise _range("every", every, "at least 1", "every=100")
        self._model = tree.unwrap(model)
        self._leaves = tree.leaves(self._model)
        self._batch = probes.read(probe, loss)
        self._budget, self._every = budget, every
        self._name = name or type(self._model).__name__
        self._trained, self._pool = trained, pool
        self._path = path
        self._session: _native.Session | None = None
        self._skipped: dict[str, str] = {}
        self._snapshot: weights.Snapshot | None = None
        self._handles: list[Any] = []
        self._busy = False
        # Passes until which nothing is to do, and how many of them are left: those are counted without looking at the clock.
        self._until, self._asleep = 0, 0
        self._unpaid = 0
        self._last: int | None = None
        self._spent = 0.0
        self._cost = 0.0
        self._start: float | None = None
        self._later = 0.0
        self._readings = 0
        self._untrained: Start | None = None
        #: Why the watch ended before it was closed, if it did.
        self.stopped: str | None = None
        if _is_follower():
            self.stopped = "another process of this group reads"
            return
        begun = time.perf_counter()
        # A reading takes longer than a short training may spend: the model is tried now, and read when there is time.
        if every is None and Start.fits(self._model):
            self._try()
        else:
            self._read()
        self._wrapped = 0
        self._wrapped_model = model is not self._model
        if self._wrapped_model:
            self._handles.append(model.register_forward_pre_hook(_uncompiled(self._enter_wrapper), prepend=True))
            self._handles.append(model.register_forward_hook(self._leave_wrapper, always_call=True))
        self._handles.append(self._model.register_forward_pre_hook(self._hook(), prepend=True))
        # A fixed k is not weighed against anything.
        self._spent = time.perf_counter() - begun if every is None else 0.0

    # ── what a user asks ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _step(self) -> int:
        """Training passes begun before the present one."""
        return self._until - self._asleep

    @property
    def overhead(self) -> float:
        """Time that the watch took inside the training, making it included, over the time of the training so far."""
        if self._start is None:
            return 0.0
        self._pay()
        elapsed = time.perf_counter() - self._start - self._later
        return self._spent / elapsed if elapsed > 0 else 0.0

    @property
    def cost(self) -> dict[str, float]:
        """Seconds so far: ``training`` since its first pass, of which ``readings`` for the watch (making it, its hooks, the
        probe's passes, the numbers), and ``asked`` for readings that a report asked for, outside the budget."""
        self._pay()
        training = 0.0 if self._start is None else time.perf_counter() - self._start - self._later
        return {"training": training, "readings": self._spent, "asked": self._later}

    @property
    def steps(self) -> list[int]:
        """Training passes that were read, from 0."""
        return [reading["step"] for reading in self.readings()]

    @property
    def path(self) -> Path | None:
        """Where the recording is written, if it is; a name that was not given is known after the first reading."""
        return Path(self._path) if isinstance(self._path, (str, os.PathLike)) else None

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What is wrong, as :attr:`carnot.Report.findings`."""
        return self.report().findings

    def readings(self) -> list[dict[str, Any]]:
        """The raw numbers: one entry a step, with every call and every observable."""
        self._first()
        if self._session is None:
            return []
        numbers: list[dict[str, Any]] = json.loads(self._session.readings())
        return numbers

    def report(self, reference: str | os.PathLike[str] | None = None) -> Report:
        """What is known so far; a last reading is taken when the model was trained since the one before.

        * ``reference``: the recording of a healthy run of the same model, which finds a broken layer best
        """
        return self._answer("check", reference)

    def load(self, reference: str | os.PathLike[str] | None = None) -> Report:
        """Which layers carry the load, now and over the steps read so far; a last reading is taken as for :meth:`report`.

        * ``reference``: the recording of a healthy run, whose curve is drawn beside
        """
        return self._answer("load", reference)

    def _answer(self, word: str, reference: str | os.PathLike[str] | None) -> Report:
        self._first()
        if self._session is None:
            raise Error(
                "python/nothing-read",
                "nothing was read yet",
                self.stopped or "the watch was closed before its first reading",
                "ask the process that reads",
            )
        self._last_reading()
        return Report(self._session.report(None if reference is None else os.fspath(reference), word))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return self.report().to_dict()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report (``.html``, ``.json``, ``.txt``, ``.csv``) or, with ``.carnot``, the recording."""
        if Path(path).suffix == ".carnot":
            self._first()
            report = self._session
            if report is None:
                self.report()
            else:
                report.save(os.fspath(path))
            return Path(path)
        return self.report().save(path)

    def read(self) -> None:
        """Takes a reading now."""
        self._first()
        if self._last != self._step or self._start is not None:
            self._read()

    def close(self) -> None:
        """Takes the hooks away. What was read stays."""
        self._first()
        self._last_reading()
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._snapshot = None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"stopped: {self.stopped}" if self.stopped else "watching" if self._handles else "closed"
        where = f", {self.path}" if self.path else ""
        share = f", {100 * self.overhead:.2g} % of the training so far" if self._start is not None else ""
        return f"<carnot.Watch {self._name}: {self._readings} readings{share}, {state}{where}>"

    def _try(self) -> None:
        """Runs the probe once, without hooks: what does not fit is told now. Keeps the model as it is."""
        start = time.perf_counter()
        reading.attempt(self._model, self._batch)
        _wait(self._model)
        spent = time.perf_counter() - start
        self._untrained = Start(self._model)
        self._cost = _PASSES * spent + _SECONDS * len(self._leaves)

    def _first(self) -> None:
        """Reads the untrained model, where that has waited until somebody asks."""
        if self._untrained is not None and self.stopped is None:
            self._asked(self._read)

    def _last_reading(self) -> None:
        if self._handles and self._last != self._step and self.stopped is None:
            self._asked(self._guarded)

    def _asked(self, read: Callable[[], None]) -> None:
        """A reading that somebody asked for does not count as part of the training."""
        start, spent = time.perf_counter(), self._spent
        try:
            read()
        finally:
            self._spent = spent
            if self._start is not None:
                self._later += time.perf_counter() - start

    # ── inside the training ─────────────────────────────────────────────────────────────────────────────────────────

    def _enter_wrapper(self, module: nn.Module, args: Any) -> None:
        # What happens inside a wrapper, perhaps in several replicas, is one pass.
        self._before(module, args)
        self._wrapped += 1

    def _leave_wrapper(self, module: nn.Module, args: Any, output: Any) -> None:
        self._wrapped = max(0, self._wrapped - 1)

    def _before(self, module: nn.Module, args: Any) -> None:
        """Before a forward pass of the model: is it one of training, and is it time?"""
        if self._busy or self._wrapped or not self._model.training or not torch.is_grad_enabled() or self.stopped:
            return
        if torch._C._get_tracing_state() is not None:
            return
        now = time.perf_counter()
        self._pay()
        if self._start is None:
            # The first pass is of the network that was read when the watch began.
            self._start = now
            self._until = 0
        else:
            self._until += 1
        if self._step and self._is_due(now):
            self._guarded()
        elif self._will_be_due(now):
            self._take_snapshot()
        else:
            self._sleep(now)
            self._spent += time.perf_counter() - now

    def _hook(self) -> Callable[..., None]:
        """:meth:`_before`, behind what decides in most passes that there is nothing to do but to count."""
        before, watch, learning = _uncompiled(self._before), self, torch.is_grad_enabled

        def counted(module: nn.Module, args: Any) -> None:
            if watch._asleep and module.training and learning():
                watch._asleep -= 1
            else:
                before(module, args)

        counted._torchdynamo_disable = True  # type: ignore[attr-defined]
        return counted

    def _sleep(self, now: float) -> None:
        """Counts only, for half of the passes until the next reading or the weights before it can be due."""
        if self._wrapped_model or self._start is None or not self._step:
            return
        if self._every is not None:
            passes = self._every - 1 - self._step % self._every
        else:
            elapsed = now - self._start - self._later
            missing = (self._spent + self._cost) / self._budget - elapsed
            passes = int(min(0.5 * missing * self._step / elapsed, _LONGEST_SLEEP)) if elapsed > 0 else 0
        # The pass that wakes up is one of them.
        if passes > 1:
            self._asleep = self._unpaid = passes - 1
            self._until += self._asleep

    def _wake(self) -> None:
        """From here on every pass looks at the clock."""
        self._pay()
        self._until, self._asleep, self._unpaid = self._step, 0, 0

    def _pay(self) -> None:
        """Takes what the counting cost into account."""
        self._spent += (self._unpaid - self._asleep) * _COUNTING
        self._unpaid = self._asleep

    def _is_due(self, now: float) -> bool:
        if self._every is not None:
            return self._step % self._every == 0
        if self._step - (self._last or 0) < _SHORTEST or self._start is None:
            return False
        return self._spent + self._cost <= self._budget * (now - self._start - self._later)

    def _will_be_due(self, now: float) -> bool:
        """Is the next pass likely to be read? Then the weights before it are needed for the update."""
        if self._snapshot is not None:
            return False
        if self._every is not None:
            return (self._step + 1) % self._every == 0
        if self._start is None or self._step == 0 or self._untrained is not None:
            return False
        elapsed = now - self._start - self._later
        return self._spent + self._cost <= self._budget * elapsed * (1 + 1 / self._step)

    def _take_snapshot(self) -> None:
        start = time.perf_counter()
        self._snapshot = weights.Snapshot(self._weights())
        self._snapshot_step = self._step
        self._spent += time.perf_counter() - start

    def _guarded(self) -> None:
        """A reading that fails ends the watch with a warning, never the training."""
        start = time.perf_counter()
        try:
            self._read()
        except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
            self.stopped = f"{type(error).__name__} at step {self._step}: {str(error).splitlines()[0] if str(error) else ''}"
            warnings.warn(f"carnot.watch stopped: {self.stopped}; the training goes on", stacklevel=2)
        spent = time.perf_counter() - start
        self._spent += spent
        # A moving average: one slow reading (a cold cache) should not silence the rest.
        self._cost = spent if self._readings <= 2 else 0.5 * (self._cost + spent)

    def _read(self) -> None:
        if self._busy:
            return
        self._busy = True
        self._wake()
        untrained, self._untrained = self._untrained, None
        step = self._step if untrained is None else 0
        try:
            start = time.perf_counter()
            _wait(self._model)
            held: AbstractContextManager[None] = nullcontext() if untrained is None else untrained.put_back()
            with held:
                updates = self._updates()
                seen = reading.run(self._model, self._leaves, self._batch)
                self._record(step, seen, updates)
                _wait(self._model)
            if self._readings == 1:
                self._cost = time.perf_counter() - start
        finally:
            self._busy = False
        self._last = step

    def _updates(self) -> dict[int, float]:
        """Change of every weight per step, since the snapshot of the step before."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is None:
            return {}
        passes = max(1, self._step - self._snapshot_step)
        changes = snapshot.updates() or {}
        return {key: change / passes for key, change in changes.items()}

    def _weights(self) -> list[tuple[int, torch.Tensor]]:
        found = {id(p): p for leaf in self._leaves if (p := tree.weight_of(leaf.module)) is not None}
        return list(found.items())

    def _record(self, step: int, seen: reading.Pass, updates: dict[int, float]) -> None:
        if self._session is None:
            self._session = self._begin(seen)
        head = _head(seen)
        for call in seen.calls:
            if call.weight is not None and call.module is not None and call.index == 0:
                key = id(call.weight)
                inputs = tree.fan_in(call.module, call.weight)
                told = weights.told(call.weight, inputs, seen.gradients.get(key), updates.get(key))
                call.weights = json.dumps(told)
            if call is head and call.weight is not None:
                call.classifier = call.weight.detach().float().cpu().contiguous().numpy().reshape(-1)
            if call.gradient is not None and call.gradient.size != call.features.size:
                call.gradient = None
        self._session.read(step, seen.loss, seen.calls)
        self._readings += 1

    def _begin(self, seen: reading.Pass) -> _native.Session:
        samples = min(self._batch.samples, SAMPLES)
        labels = _labels(seen, samples)
        header = {
            "schema": "carnot.recording/1",
            "model": self._name,
            "modules": self._modules(seen),
            "probe": {
                "samples": samples,
                "classes": 0 if labels is None else len(set(labels) - {_NO_CLASS}),
                "has_labels": labels is not None,
            },
            "starts_untrained": not self._trained,
            "versions": {
                "carnot": _native.__version__,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        }
        pool = self._pool or ("flatten" if any("conv" in call.kind for call in seen.calls) else "mean")
        self._path = _place(self._path, self._name)
        try:
            return _native.Session(json.dumps(header), samples, labels, self._path, pool)
        except Error as error:
            if self._path is None or "file" not in error.code:
                raise
            warnings.warn(f"no recording is written: {error.problem}", stacklevel=2)
            self._path = False
            return _native.Session(json.dumps(header), samples, labels, None, pool)

    def _modules(self, seen: reading.Pass) -> list[dict[str, Any]]:
        """The module tree, with a reason for everything that has weights and was not read."""
        read = {call.name for call in seen.calls}
        modules = []
        owners: dict[int, str] = {}
        for leaf in self._leaves:
            own = list(leaf.module.parameters())
            entry: dict[str, Any] = {
                "name": leaf.name,
                "kind": leaf.kind,
                "parameters": sum(p.numel() for p in own),
            }
            if "dropout" in leaf.kind and isinstance(getattr(leaf.module, "p", None), float):
                entry["drop"] = leaf.module.p
            weight = tree.weight_of(leaf.module)
            tied = None if weight is None else owners.setdefault(id(weight), leaf.name)
            if leaf.name not in read:
                reason = seen.skipped.get(leaf.name, "not called on this probe")
                entry["skipped"] = f"{reason}, tied to {tied}" if tied not in (None, leaf.name) else reason
            modules.append(entry)
        known = {leaf.module for leaf in self._leaves}
        for name, module in self._model.named_modules():
            own = [p for p in module.parameters(recurse=False)]
            under = any(name.startswith(leaf.name + ".") for leaf in self._leaves)
            if own and module not in known and not under:
                names = ", ".join(key for key, _ in module.named_parameters(recurse=False))
                modules.append(
                    {
                        "name": name or self._name,
                        "kind": tree.kind(module),
                        "parameters": sum(p.numel() for p in own),
                        "skipped": f"parameters used inside its own forward: {names}",
                    }
                )
        return modules


def check(
    model: nn.Module, batch: Any, reference: str | os.PathLike[str] | None = None, **settings: Any
) -> Report:
    """One reading of the model as it is."""
    with Watch(model, batch, path=False, every=1, **settings) as watch:
        return watch.report(reference)


def load(
    model: nn.Module, batch: Any, reference: str | os.PathLike[str] | None = None, **settings: Any
) -> Report:
    """One reading of the model as it is, for its load curve."""
    with Watch(model, batch, path=False, every=1, **settings) as watch:
        return watch.load(reference)


def _labels(seen: reading.Pass, samples: int) -> list[int] | None:
    y = seen.labels
    if y is None:
        return None
    y = y.cpu()
    if y.dim() == 2 and y.shape[1] > 1:
        # One a position: of those positions that most calls are read at.
        strides = [call.stride for call in seen.calls if call.full == y.shape[1]]
        if not strides:
            return None
        y = y[:, :: max(set(strides), key=strides.count)]
    return [_NO_CLASS if label == probes.IGNORED else label for label in y.reshape(-1).tolist()]


def _head(seen: reading.Pass) -> reading.Call | None:
    """The last call, where it is a linear layer that reads the call before."""
    if len(seen.calls) < 2 or seen.labels is None:
        return None
    last, before = seen.calls[-1], seen.calls[-2]
    weight = last.weight
    if last.kind != "linear" or weight is None or not isinstance(last.module, nn.Linear):
        return None
    fits = tuple(weight.shape) == (last.width, before.width)
    return last if fits else None


def _is_follower() -> bool:
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized() and distributed.get_rank() != 0


def _uncompiled(hook: Callable[..., None]) -> Callable[..., None]:
    """The same hook, which a compiler leaves alone. Its own decorator would load the compiler, which takes seconds."""

    kept: list[Callable[..., None]] = []

    def free(module: nn.Module, args: Any) -> None:
        if not kept and "torch._dynamo" in sys.modules:
            kept.append(torch.compiler.disable(hook))  # type: ignore[no-untyped-call]
        (kept[0] if kept else hook)(module, args)

    free._torchdynamo_disable = True  # type: ignore[attr-defined]
    return free


def _wait(model: nn.Module) -> None:
    device = tree.device_of(model)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _place(path: Any, name: str) -> str | None:
    """Where the recording goes: as asked, nowhere, or into ``runs/``."""
    if path is False:
        return None
    if path is None or path is True:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        folder = Path("runs")
        place = folder / f"watch-{stamp}-{name.lower()}.carnot"
        n = 2
        while place.exists():
            place = folder / f"watch-{stamp}-{name.lower()}-{n}.carnot"
            n += 1
    else:
        place = Path(os.fspath(path))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        # The writer says why, in one place for every way in which a folder can refuse.
        pass
    return os.fspath(place)


def _range(key: str, value: Any, range_: str, remedy: str) -> Error:
    return Error("config/out-of-range", f"{key} is {value}", f"it must be {range_}", remedy)
