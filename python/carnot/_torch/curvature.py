"""How sharply the loss of a model bends against the step that is made, and how noisy its gradient is."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .. import _native
from .._error import Error
from .._report import Report
from . import batch as probes
from . import model as tree
from .state import undisturbed

#: Products with the Hessian at most, and the share of the value that ends it.
PRODUCTS = 40
TOLERANCE = 0.01
#: Memory that the directions may take, bytes.
MEMORY = 4 * 2**30
#: Parts of the batch for the noise, and least samples.
PARTS = 16
LEAST = 32
#: Seed of the first direction.
SEED = 1

Tensors = list[torch.Tensor]


@dataclass
class Rule:
    """An optimizer, as far as its stability goes."""

    word: str
    momentum: float
    rates: tuple[float, float]
    #: Of each parameter √(η/P).
    scales: dict[int, torch.Tensor | float]


def curvature(
    model: nn.Module,
    batch: Any,
    optimizer: torch.optim.Optimizer | None,
    loss: Callable[[Any, Any], torch.Tensor] | None,
    batch_size: int | None,
    name: str | None,
) -> Report:
    """See :func:`carnot.curvature`."""
    model = tree.unwrap(model)
    probe = _placed(probes.read(batch, loss), tree.device_of(model))
    rule, no_rule = (None, None) if optimizer is None else _rule(optimizer)
    known = None if rule is None else rule.scales
    parameters: Tensors = [p for p in model.parameters() if p.requires_grad and (known is None or id(p) in known)]
    if not parameters:
        raise Error(
            "python/no-parameters",
            "no parameter of the model is trained",
            "every one has requires_grad = False, or the optimizer has none of them",
            "pass the model and the optimizer that trains it",
        )
    half = next((p.dtype for p in parameters if p.dtype not in (torch.float32, torch.float64)), None)
    if half is not None:
        raise Error(
            "python/half-precision",
            f"the curvature of a model in {half} is not known",
            "second derivatives drown in rounding",
            "carnot.curvature(copy.deepcopy(model).float(), batch)",
        )
    scales: list[torch.Tensor | float] = [1.0 if known is None else known[id(p)] for p in parameters]
    with undisturbed(model), _written_out():
        value, objective = _loss(model, probe)
        if objective == "a random combination of the outputs":
            raise Error(
                "python/no-labels",
                "there is no loss whose curvature could be measured",
                "the batch has no labels, and the model has no loss of its own",
                "carnot.curvature(model, (x, y))   or loss=lambda output, target: …",
            )
        number = float(value.detach())
        del value
        sharpness, error, products = _sharpest(model, probe, parameters, scales)
        part, gradients = _parts(model, probe, parameters)
    look = {
        "name": name or type(model).__name__,
        "samples": probe.samples,
        "objective": objective,
        "loss": number,
        "sharpness": {"value": sharpness, "error": error},
        "products": products,
        "seed": SEED,
        "rule": None if rule is None else {"word": rule.word, "momentum": rule.momentum, "rates": rule.rates},
        "no_rule": no_rule,
        "part": part,
        "gradients": gradients,
        "batch": batch_size,
    }
    return Report(_native.curvature(json.dumps(look)))


def _written_out() -> AbstractContextManager[Any]:
    """Attention as it is written: fused kernels have no second derivative."""
    if hasattr(nn, "attention"):
        return nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH)
    return torch.backends.cuda.sdp_kernel(enable_flash=False, enable_math=True, enable_mem_efficient=False)


def _placed(batch: probes.Batch, device: torch.device) -> probes.Batch:
    def there(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().to(device)

    target = None if batch.target is None else there(batch.target)
    return probes.Batch(
        probes.mapped(batch.args, there), probes.mapped(batch.kwargs, there), target, batch.samples, batch.loss
    )


def _loss(model: nn.Module, batch: probes.Batch) -> tuple[torch.Tensor, str]:
    value, objective = probes.objective(batch, model(*batch.args, **batch.kwargs))
    if not bool(torch.isfinite(value)):
        raise Error(
            "python/not-finite",
            f"the loss on this batch is {float(value.detach())}",
            "the model has diverged, or the batch holds numbers that are not finite",
            "carnot.check(model, batch)   names the layer",
        )
    return value, objective


def _dot(a: Tensors, b: Tensors) -> float:
    return float(sum(torch.sum(x.double() * y.double()) for x, y in zip(a, b)))


def _sharpest(
    model: nn.Module, batch: probes.Batch, parameters: Tensors, scales: list[torch.Tensor | float]
) -> tuple[float, float, int]:
    """Largest eigenvalue of S H S with a diagonal S, the residual of its vector, and the products with H that it took.

    Lanczos with full orthogonalisation; an eigenvalue lies as near as the residual (Parlett, theorem 4.5.1).
    """
    value, _ = _loss(model, batch)
    try:
        slopes = torch.autograd.grad(value, parameters, create_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise _no_second(error) from error
    used = [at for at, slope in enumerate(slopes) if slope is not None and slope.requires_grad]
    parameters, scales = [parameters[at] for at in used], [scales[at] for at in used]
    gradient = [slopes[at] for at in used]
    if not used:
        return 0.0, 0.0, 0

    def product(v: Tensors) -> Tensors:
        inner = [s * x for s, x in zip(scales, v)]
        try:
            bent = torch.autograd.grad(gradient, parameters, inner, retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            raise _no_second(error) from error
        return [torch.zeros_like(p) if h is None else s * h.detach() for s, h, p in zip(scales, bent, parameters)]

    generator = torch.Generator().manual_seed(SEED)
    first = [torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p.device) for p in parameters]
    length = _dot(first, first) ** 0.5
    basis = [[x / length for x in first]]
    bytes_each = sum(p.numel() * p.element_size() for p in parameters)
    most = max(6, min(PRODUCTS, MEMORY // bytes_each))
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        w = product(basis[-1])
        diagonal.append(_dot(basis[-1], w))
        for _ in range(2):
            for old in basis:
                along = _dot(old, w)
                w = [x - along * v for x, v in zip(w, old)]
        left = _dot(w, w) ** 0.5
        band = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
        for at, off in enumerate(beside):
            band[at, at + 1] = band[at + 1, at] = off
        values, vectors = torch.linalg.eigh(band)
        top, residual = float(values[-1]), left * abs(float(vectors[-1, -1]))
        spread = max(abs(float(values[0])), abs(top))
        if not spread == spread or spread == float("inf"):
            raise _no_second(RuntimeError("products with the Hessian are not finite"))
        # What rounding leaves of a product is no direction.
        ended = left <= 1e-6 * spread or len(diagonal) == most or sum(p.numel() for p in parameters) == len(diagonal)
        if ended or residual <= TOLERANCE * abs(top) and len(diagonal) > 3:
            eps = max(torch.finfo(p.dtype).eps for p in parameters)
            return top, max(residual, 10 * eps * spread), len(diagonal)
        beside.append(left)
        basis.append([x / left for x in w])


def _parts(model: nn.Module, batch: probes.Batch, parameters: Tensors) -> tuple[int, list[tuple[float, float]]]:
    """Samples of each part of the batch; of its gradient the square and the product with the mean of all parts."""
    part = batch.samples // PARTS
    if batch.samples < LEAST:
        return part, []

    def slope(at: int) -> Tensors:
        def own(tensor: torch.Tensor) -> torch.Tensor:
            is_long = tensor.dim() > 0 and tensor.shape[0] == batch.samples
            return tensor[at * part : (at + 1) * part] if is_long else tensor

        target = None if batch.target is None else own(batch.target)
        cut = probes.Batch(probes.mapped(batch.args, own), probes.mapped(batch.kwargs, own), target, part, batch.loss)
        found = torch.autograd.grad(_loss(model, cut)[0], parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else _dense(g) for g, p in zip(found, parameters)]

    # Twice, so that only two gradients are held at a time.
    mean = [torch.zeros_like(p) for p in parameters]
    for at in range(PARTS):
        mean = [m + g / PARTS for m, g in zip(mean, slope(at))]
    seen = []
    for at in range(PARTS):
        own = slope(at)
        seen.append((_dot(own, own), _dot(own, mean)))
    return part, seen


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient


def _rule(optimizer: torch.optim.Optimizer) -> tuple[Rule | None, str | None]:
    """The rule of an optimizer with its preconditioner as it stands, or why it is not known."""
    kind = type(optimizer).__name__
    groups = optimizer.param_groups
    if any(group.get("maximize") for group in groups):
        return None, f"{kind} climbs (maximize=True)"
    scales: dict[int, torch.Tensor | float] = {}
    words: set[tuple[str, float]] = set()
    rates: list[float] = []
    for group in groups:
        rate = float(group["lr"])
        if rate <= 0.0:
            # What does not move has no step that could be too long.
            continue
        rates.append(rate)
        if kind == "SGD":
            beta = float(group.get("momentum", 0.0))
            if beta > 0.0 and float(group.get("dampening", 0.0)) != 0.0:
                return None, "SGD with dampening has another threshold"
            words.add(("sgd" if beta == 0.0 else "nesterov" if group.get("nesterov") else "momentum", beta))
            scales.update((id(p), rate**0.5) for p in group["params"])
            continue
        if kind in ("Adam", "AdamW"):
            words.add((kind.lower(), float(group["betas"][0])))
        elif kind == "RMSprop" and not group.get("centered") and not group.get("momentum"):
            words.add(("rmsprop", 0.0))
        else:
            return None, f"the threshold of {kind} with these settings is in no source; SGD, Adam, AdamW and RMSprop have one"
        for p in group["params"]:
            preconditioner = _preconditioner(kind, group, optimizer.state.get(p, {}))
            if preconditioner is not None:
                scales[id(p)] = (rate / preconditioner).sqrt()
    if not scales:
        return None, f"{kind} has not made a step yet: its preconditioner is empty"
    if len(words) > 1:
        return None, "its groups have different momenta"
    word, momentum = words.pop()
    return Rule(word, momentum, (min(rates), max(rates)), scales), None


def _preconditioner(kind: str, group: dict[str, Any], state: dict[str, Any]) -> torch.Tensor | None:
    """What each coordinate of the step is divided by (arXiv:2207.14484, equation 3); ``None`` before the first step."""
    epsilon = float(group["eps"])
    if kind == "RMSprop":
        return state["square_avg"].sqrt() + epsilon if "square_avg" in state else None
    second = state.get("max_exp_avg_sq" if group.get("amsgrad") else "exp_avg_sq")
    if second is None:
        return None
    step, (beta1, beta2) = float(state["step"]), (float(beta) for beta in group["betas"])
    out: torch.Tensor = (1 - beta1**step) * ((second / (1 - beta2**step)).sqrt() + epsilon)
    return out


def _no_second(error: RuntimeError) -> Error:
    return Error(
        "python/no-curvature",
        "the loss of this model has no second derivative that PyTorch could take",
        str(error).splitlines()[0],
        "measure it with parts that have one (attention as written out, no fused or quantised kernels)",
    )
