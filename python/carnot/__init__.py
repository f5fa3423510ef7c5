"""Carnot: will this network learn, how should I initialise and scale it, and which layer is the problem?

Three lines around an unchanged training loop::

    import carnot
    watch = carnot.watch(model, probe=(x, y))     # before the loop; one fixed batch, labels optional
    ...                                           # training as it is
    print(watch.report())

Before training: :func:`check`, :func:`predict`, :func:`init_`, :func:`param_groups`. Without a model: :func:`predict`, :func:`ensemble`,
:func:`kernel`, :func:`border`, :func:`transfer`, :func:`prune`. While it trains: :func:`curvature`. After it: :func:`diagnose`. Everything returns one :class:`Report`; what could not be
done is an :class:`Error` with a remedy.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _native
from ._ask import ask as _ask
from ._error import Error
from ._log import diagnose as _diagnose
from ._native import __version__
from ._report import Report

if TYPE_CHECKING:
    import torch

    from ._torch.init import Initialised
    from ._torch.watch import Watch

__all__ = [
    "Error",
    "Report",
    "__version__",
    "border",
    "check",
    "curvature",
    "data",
    "describe",
    "diagnose",
    "ensemble",
    "init_",
    "kernel",
    "load",
    "open",
    "param_groups",
    "phase",
    "predict",
    "prune",
    "transfer",
    "watch",
]

_Path = str | os.PathLike[str]


def watch(
    model: torch.nn.Module,
    probe: Any,
    *,
    budget: float = 0.01,
    every: int | None = None,
    path: _Path | bool | None = None,
    loss: Callable[[Any, Any], torch.Tensor] | None = None,
    trained: bool = False,
    pool: str | None = None,
    name: str | None = None,
) -> Watch:
    """Reads ``model`` on one fixed batch while it trains.

    The model as it is now is read as soon as the budget allows, or somebody asks (its parameters are kept until then, up to
    256 MiB; a larger model is read at once), and then before every k-th training pass (a forward pass in train mode with gradients), in eval
    mode, with plain forward hooks that are there for this pass only. Parameters, their ``.grad``, buffers (batch norm), the
    train/eval mode of every module, autocast and the random states of Python, NumPy and PyTorch (CPU and CUDA) are
    exactly as before. A reading that fails ends the watch with a warning; it never ends the training.

    * ``probe``: ``(x, y)``, ``x`` alone, or a mapping of keywords (Hugging Face batches, with ``labels`` or without). ``x``
      may be a tensor, a tuple of arguments, a mapping or a dataclass; the first axis is samples, of which 256 are read.
    * ``budget``: share of the training's time that the watch may take, in (0, 1]; k adapts to it. Making the watch counts: it
      runs the probe forward once. :attr:`Watch.cost` says what was spent. Readings that a report asks for are not part of it.
    * ``every``: a fixed k instead, whatever it costs.
    * ``path``: the recording, written as it goes so that a crash keeps what was read. Default: a new file
      ``runs/watch-….carnot``; ``False`` writes none.
    * ``loss``: ``loss(output, y)`` where it is not the model's own, cross-entropy or mean squares.
    * ``trained``: the model was trained before, so the first reading is not that of an untrained one.
    * ``pool``: what stands for a sample with several positions: ``mean``, ``first`` (a class token) or ``flatten``
      (images; the default where there are convolutions).
    * returns: a :class:`Watch`, also a context manager, with ``report()``, ``save(path)``, ``findings``, ``to_dict()``.

    :raises Error: when the probe does not fit the model's task, or a setting is out of range.
    """
    torch_watch = _needs_torch("watch")
    watch_: Watch = torch_watch.Watch(
        model, probe, budget=budget, every=every, path=path, loss=loss, trained=trained, pool=pool, name=name
    )
    return watch_


def check(
    model: torch.nn.Module | _Path,
    batch: Any = None,
    *,
    loss: Callable[[Any, Any], torch.Tensor] | None = None,
    trained: bool = False,
    pool: str | None = None,
    name: str | None = None,
    reference: _Path | None = None,
    **settings: Any,
) -> Report:
    """Is it healthy, which layer is the problem, what to change.

    ``model`` is a PyTorch module, read once on ``batch`` (see :func:`watch` for what a batch may be), or a network as text
    (``"784-128x50-10"``, a TOML file), for which ``settings`` are the keys of ``carnot check``, or a recording (``run.carnot``). ``reference`` is the
    recording of a healthy run of the same model, which finds a broken layer best.

    :raises Error: when the model cannot be run on the batch, or a setting is unknown.
    """
    if isinstance(model, (str, os.PathLike)):
        if os.fspath(model).endswith(".carnot"):
            return open(model, reference)
        if reference is not None:
            raise _unknown("reference", ["loss", "trained"])
        return _ask("check", model, settings | ({} if batch is None else {"data": batch}))
    if settings:
        raise _unknown(next(iter(settings)), ["loss", "trained", "pool", "name", "reference"])
    torch_watch = _needs_torch("watch")
    report: Report = torch_watch.check(
        model, batch, reference, loss=loss, trained=trained, pool=pool, name=name
    )
    return report


def load(
    model: torch.nn.Module | _Path,
    batch: Any = None,
    *,
    loss: Callable[[Any, Any], torch.Tensor] | None = None,
    trained: bool = False,
    pool: str | None = None,
    name: str | None = None,
    reference: _Path | None = None,
) -> Report:
    """Which layers carry the load: load curve, its shape, and its mechanical twin.

    ``model`` is a PyTorch module (Hugging Face models too), read once on ``batch``, which needs labels; or a recording
    (``run.carnot``), of which the curve over the steps is shown too. While a model trains, :meth:`Watch.load` says the same.
    ``reference`` is the recording of a healthy run, drawn beside.

    :raises Error: when the model cannot be run on the batch, or the file is no recording.
    """
    if isinstance(model, (str, os.PathLike)):
        healthy = None if reference is None else os.fspath(reference)
        return Report(_native.recording_report(os.fspath(model), healthy, "load"))
    torch_watch = _needs_torch("watch")
    report: Report = torch_watch.load(
        model, batch, reference, loss=loss, trained=trained, pool=pool, name=name
    )
    return report


def phase(**settings: Any) -> Report:
    """Which layers do the work, over noise and nonlinearity: trained networks beside the chain of blocks and springs.

    * ``settings``: the keys of ``carnot phase``, such as ``data="digits"``, ``noise="dropout"``, ``seeds=10``; ``runs="runs"``
      keeps networks as they land, so that an interrupted diagram goes on where it was

    :raises Error: with the nearest key when one is unknown.
    """
    return _ask("phase", None, **_split(settings))


def border(network: _Path | None = None, **settings: Any) -> Report:
    """Where learning ends: the border over two or three settings, found with a few short runs.

    * ``network``: a shorthand such as ``"64-24x4-10"`` or ``"post:4x32"``, or a TOML file; ``settings`` are the keys of
      ``carnot border``, such as ``y="depth"``, ``z="width"``, ``budget=25``; ``runs="runs"`` keeps runs as they land, so that a search
      that was cut off goes on without repeating one

    :raises Error: with the nearest key when one is unknown.
    """
    return _ask("border", network, **_split(settings))


def transfer(network: _Path | None = None, **settings: Any) -> Report:
    """A rate tuned on a small network, carried to a wider or deeper one, with an interval and a coordinate check.

    * ``network`` and ``settings``: as in :func:`border`, the keys of ``carnot transfer``

    :raises Error: with the nearest key when one is unknown.
    """
    return _ask("transfer", network, **_split(settings))


def prune(network: _Path, **settings: Any) -> Report:
    """How few weights a network can do with: rounds of pruning, beside fresh weights, shuffled masks and one-shot pruning.

    * ``network``: a shorthand or a TOML file; ``settings`` are the keys of ``carnot prune``, such as ``data="digits"``, ``rounds=12``;
      ``runs="runs"`` keeps trainings as they land

    :raises Error: with the nearest key when one is unknown.
    """
    return _ask("prune", network, **_split(settings))


def diagnose(log: Any, *, runs: _Path = "runs", **settings: Any) -> Report:
    """What happened to a training, and what it is stuck at: plateau, divergence, spikes, overfitting.

    * ``log``: a TensorBoard event file or a folder of them, CSV, JSON lines, ``trainer_state.json``, a recording, the name of a run in
      ``runs``; or what is in memory: a dict of lists (``{"loss": [...], "val_loss": [...]}``), a list of dicts (``state.log_history`` of
      a Hugging Face trainer), or a list of losses
    * ``settings``: what is known beside it, the flags of ``carnot diagnose``: ``classes``, ``vocabulary``, ``labels``, ``data``, ``optimizer``, names of
      series such as ``loss="train/nll"``

    :raises Error: when it cannot be read, or holds no loss.
    """
    return _diagnose(log, runs, settings)


def curvature(
    model: torch.nn.Module,
    batch: Any,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    loss: Callable[[Any, Any], torch.Tensor] | None = None,
    batch_size: int | None = None,
    name: str | None = None,
) -> Report:
    """One look at the loss: its sharpness against what the optimizer can bear (the edge of stability), and the critical batch.

    The largest eigenvalue of the Hessian by Lanczos, with its residual as the error, in eval mode, on the samples given: take
    about as many as a step of the training has, or more. With an optimizer that divides by the size of the gradient it is that of the
    preconditioned Hessian, and the threshold is 2/η for SGD and RMSprop, (2 + 2β)/η with momentum, (2 + 2β₁)/((1 − β₁)η) for Adam.
    The noise scale tr Σ/|G|² is read from the gradients of 16 parts of the batch. Costs about 12 to 40 passes for the first and 32 parts for
    the second; the model, its gradients and random states are as before.

    * ``batch``: ``(x, y)`` or a mapping, as for :func:`watch`, of any number of samples; 32 or more for the noise scale
    * ``optimizer``: the one that trains the model, after some steps; its rate, momentum and state are read
    * ``batch_size``: samples of a step of the training, to be held against the noise scale
    * returns: a report; numbers in ``to_dict()["curvature"]``: ``sharpness`` (times the rate where there is an optimizer),
      ``share_of_threshold``, ``noise_scale``, each with ``value`` and ``error``

    :raises Error: when there is no loss, or no second derivative of it.
    """
    torch_curvature = _needs_torch("curvature")
    report: Report = torch_curvature.curvature(model, batch, optimizer, loss, batch_size, name)
    return report


def open(path: _Path, reference: _Path | None = None) -> Report:
    """The report of a recording (``run.carnot``), against that of a healthy run where ``reference`` is given, or a saved
    ``report.json``; needs no PyTorch.

    :raises Error: when the file is neither, or damaged.
    """
    if os.fspath(path).endswith(".json"):
        return Report.load(path)
    healthy = None if reference is None else os.fspath(reference)
    return Report(_native.recording_report(os.fspath(path), healthy))


def data(name: _Path, *, samples: int | None = None, seed: int = 0) -> tuple[Any, Any]:
    """A data set as NumPy arrays: inputs ``[samples, …]`` and labels (or values, or ``None``).

    * ``name``: ``"digits"`` (1,797 real handwritten digits, part of the package), a generator such as ``"mixture"``, or a
      file (IDX, NPY, NPZ, CSV, safetensors), scaled as on the command line
    * ``samples``: at most so many, balanced over classes

    :raises Error: when there is no such data set, or the file is not what it says.
    """
    found: tuple[Any, Any] = _native.data(os.fspath(name), samples, seed)
    return found


def predict(network: torch.nn.Module | _Path, batch: Any = None, **settings: Any) -> Report:
    """Phase, best initialisation and scaling, expected signal, from theory.

    * ``network``: a shorthand such as ``"784-128x50-10"``, a TOML file, a ``config.json``: no data, no model. Or a PyTorch transformer
      that has not been trained, with ``batch``, as :func:`watch` takes it: then its blocks, norms, activations and the variances of its
      weights are read off the model, whatever it calls them, and the cosine of its own tokens stands beside theory's
    * ``settings``: the keys of ``carnot predict``, such as ``activation="tanh"``, ``c_w=1.5``; ``runs="runs"`` keeps the
      answer as the command line does

    :raises Error: with the nearest key when one is unknown.
    """
    if isinstance(network, (str, os.PathLike)):
        if batch is not None:
            raise _unknown("batch", ["settings of carnot predict; a batch goes with a PyTorch model"])
        return _ask("predict", network, **_split(settings))
    report: Report = _needs_torch("predict").predict(network, batch, settings)
    return report


def describe(model: torch.nn.Module, batch: Any) -> str:
    """A PyTorch transformer as the ``network.toml`` that every command takes: its layers, and the variances of its weights.

    * ``batch``: as :func:`watch` takes it

    :raises Error: with the reason, where the model is not a transformer of tokens that theory follows.
    """
    _needs_torch("watch")
    from ._torch.structure import structure

    return structure(model, batch).toml


def ensemble(network: _Path, **settings: Any) -> Report:
    """Many real networks against theory, layer by layer, in standard errors.

    * ``settings``: the keys of ``carnot ensemble``, such as ``members=200``; ``runs="runs"`` keeps points as they land, so
      that an interrupted one goes on where it was

    :raises Error: with the nearest key when one is unknown.
    """
    return _ask("ensemble", network, **_split(settings))


def kernel(network: _Path, **settings: Any) -> Report:
    """Kernels on your data at infinite and finite width, and what they would predict.

    * ``settings``: the keys of ``carnot kernel``, such as ``data="digits"``, ``train=500``

    :raises Error: with the nearest key when one is unknown.
    """
    return _ask("kernel", network, **_split(settings))


def init_(model: torch.nn.Module, batch: Any = None, *, generator: torch.Generator | None = None) -> Initialised:
    """Critical initialisation of every linear and convolution layer for its own activation, in place.

    Weights are drawn from N(0, C_W / fan-in) and biases from N(0, C_b), with the C_W and C_b that theory finds for the
    activation that feeds the layer (for the first ones: the one that follows). The last layer of each of R residual
    blocks is scaled by 1/R in variance. Norms, tables of vectors and recurrent layers are left as they are.

    * ``batch``: inputs of the model; with them activations and skips are found where they are used, also when they are
      functions and not modules. Without: by tracing the code, and where that fails, by the order of the modules.
    * ``generator``: random numbers; PyTorch's own when left out
    * returns: what was done to each layer, what was left, and why

    :raises Error: when the model has no layer to initialise, or the batch cannot be run.
    """
    _needs_torch("watch")
    from ._torch.init import init_ as torch_init

    return torch_init(model, batch, generator=generator)


def param_groups(
    model: torch.nn.Module,
    *,
    rate: float,
    scaling: str = "maximal-update",
    optimizer: str = "adam",
    base_width: int | None = None,
    weight_decay: float | None = None,
) -> list[dict[str, Any]]:
    """Parameter groups with a rate for each, for ``torch.optim``.

    A rate tuned at ``base_width`` stays right at the model's own widths: every parameter's rate is ``rate`` times the
    factor that the scaling gives for where it sits (input, hidden, output, bias) and its width over ``base_width``.

    * ``rate``: the rate at the base width, > 0
    * ``scaling``: ``maximal-update``, ``neural-tangent`` or ``standard`` (one rate for all)
    * ``optimizer``: ``adam`` (and its kin) or ``sgd``
    * ``base_width``: width at which the rate was tuned. Default: the narrowest hidden layer of the model
    * ``weight_decay``: put on weights; biases and norms get none. Default: not set
    * returns: dicts with ``params``, ``lr``, ``names`` and ``role``

    :raises Error: when a setting is out of range.
    """
    _needs_torch("watch")
    from ._torch.groups import param_groups as torch_groups

    return torch_groups(
        model, rate=rate, scaling=scaling, optimizer=optimizer, base_width=base_width, weight_decay=weight_decay
    )


def _split(settings: dict[str, Any]) -> dict[str, Any]:
    """Keywords of the driver stand beside the keys of the experiment."""
    ours: dict[str, Any] = {key: settings.pop(key) for key in ("runs", "threads", "fresh") if key in settings}
    return {"settings": settings} | ours


def _needs_torch(module: str) -> Any:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise Error(
            "python/no-torch",
            "PyTorch cannot be imported",
            str(error),
            'pip install "carnot-dl[torch]"',
        ) from error
    import importlib

    return importlib.import_module(f"._torch.{module}", __name__)


def _unknown(key: str, known: list[str]) -> Error:
    import difflib

    near = difflib.get_close_matches(key, known, 1)
    cause = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
    return Error("config/unknown-key", f'no keyword "{key}"', cause, "help(carnot.check)")
