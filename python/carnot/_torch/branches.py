"""What lies in a branch of a transformer: attention or an MLP, told by shapes and by what is done to numbers, not by names."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from .._error import Error
from .drawn import Drawn, Layer, dense, square
from .trace import Step

#: Activations that are looked for: as Carnot writes them.
_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "z * sigmoid(1.702 * z)": lambda z: z * torch.sigmoid(1.702 * z),
    "max(z, 0)^2": lambda z: F.relu(z) ** 2,
    "elu": F.elu,
    "selu": F.selu,
    "mish": F.mish,
    "softplus": F.softplus,
    "leaky_relu(0.01)": F.leaky_relu,
    "hard_swish": F.hardswish,
    "linear": lambda z: z,
}
#: Rows on which activations are told apart.
_ROWS = 256
#: Largest root-mean-square difference of what an activation gave from its formula, in units of that.
_ALIKE = 3e-3
#: Names of the layers of queries, keys and values, where they are three.
_QUERY, _KEY, _VALUE = ("q", "query"), ("k", "key"), ("v", "value")


def unknown(why: str, remedy: str = "carnot.watch(model, probe=(x, y)) reads any model while it trains") -> Error:
    """Theory does not go on here."""
    return Error("python/not-known", "theory does not know this model", f"not known, because {why}", remedy)


def norm(step: Step) -> Layer:
    """A norm as it is drawn."""
    size = square(step.out)
    if not abs(size - 1) < 0.05:
        why = f"what {step.name} gives has a mean square of {size:.3g} and not 1: has the model been trained?"
        raise unknown(why, "predict speaks of models as they are drawn: give a new one")
    is_layer = "rms" not in step.kind and float(step.out.double().mean(-1).abs().max()) < 0.05
    return {"norm": "layer" if is_layer else "rms"}


def matrix(step: Step, rows: slice | None = None) -> tuple[Drawn, Drawn, int, int]:
    """C_W, C_b, outputs and inputs of a linear layer; of some rows, where several matrices are one."""
    assert step.module is not None, "linear steps are modules"
    weight, bias = step.module.weight, getattr(step.module, "bias", None)
    assert isinstance(weight, torch.Tensor), "linear layers have weights"
    if type(step.module).__name__ == "Conv1D":
        weight = weight.t()
    if rows is not None:
        weight, bias = weight[rows], bias[rows] if isinstance(bias, torch.Tensor) else None
    outputs, inputs = weight.shape
    return Drawn.of(weight, inputs), Drawn.of(bias), outputs, inputs


def branch(steps: list[Step], width: int, is_causal: bool, notes: list[str]) -> list[Layer]:
    """The layers of one branch."""
    steps = list(steps)
    for step in steps:
        if "norm" not in step.kind and step.kind not in ("linear", "attention", "attend"):
            raise unknown(f"{step.name} is a {step.kind}")
    before = [norm(steps.pop(0))] if steps and "norm" in steps[0].kind else []
    behind = [norm(steps.pop())] if steps and "norm" in steps[-1].kind else []
    if any(step.kind == "attention" for step in steps):
        layers = _module(steps, width, is_causal)
    elif any(step.kind == "attend" for step in steps):
        layers = _attention(steps, width, is_causal, notes)
    else:
        layers = _mlp(steps)
    return before + layers + behind


def _module(steps: list[Step], width: int, is_causal: bool) -> list[Layer]:
    """PyTorch's own attention."""
    module = steps[0].module
    if len(steps) > 1 or not isinstance(module, nn.MultiheadAttention) or module.in_proj_weight is None:
        raise unknown(f"{steps[0].name} is attention of its own kind")
    n = module.embed_dim
    weights, bias = module.in_proj_weight, module.in_proj_bias
    c = [Drawn.of(weights[at * n : (at + 1) * n], n) for at in range(3)]
    c_out, c_b = Drawn.of(module.out_proj.weight, n), Drawn.of(module.out_proj.bias)
    if bias is not None:
        c_b = c_b.plus(Drawn.of(bias[2 * n :], c_out.value))
    return [_said(width, module.num_heads, is_causal, False, c, c_out, c_b)]


def _said(
    width: int, heads: int, is_causal: bool, has_qk_norm: bool, c: list[Drawn], c_out: Drawn, c_b: Drawn
) -> Layer:
    layer: Layer = {"attention": width, "heads": heads}
    if is_causal:
        layer["causal"] = True
    if has_qk_norm:
        layer["qk_norm"] = True
    return layer | dict(zip(("c_query", "c_key", "c_value"), c)) | {"c_out": c_out, "c_b": c_b}


def _attention(steps: list[Step], width: int, is_causal: bool, notes: list[str]) -> list[Layer]:
    """Linear layers around a softmax."""
    softmax = [step for step in steps if step.kind == "attend"]
    linear = [step for step in steps if step.kind == "linear"]
    attend, last, before = softmax[0], linear[-1], linear[:-1]
    if len(softmax) > 1 or last.made < attend.made:
        raise unknown(f"attention at {steps[0].name} does not end with one layer")
    c_out, c_b, _, inner = matrix(last)
    if len(before) == 3:
        before = _by_names(before)
        parts = [matrix(step) for step in before]
        outs = [step.out for step in before[:2]]
    elif len(before) == 1 and (matrix(before[0])[2] - inner) % 2 == 0:
        whole = matrix(before[0])[2]
        if whole <= inner:
            raise unknown(f"{before[0].name} is too narrow for queries, keys and values")
        # Queries of all heads, then keys and values, of fewer heads where these are shared.
        middle = inner + (whole - inner) // 2
        cuts = [slice(0, inner), slice(inner, middle), slice(middle, whole)]
        parts = [matrix(before[0], rows) for rows in cuts]
        outs = [before[0].out[..., rows] for rows in cuts[:2]]
    else:
        raise unknown(f"attention at {steps[0].name} has {len(before)} layers in front of its softmax")
    has_qk_norm = any("norm" in step.kind for step in steps) or _is_normed(attend.query)
    c = [part[0] for part in parts]
    if not has_qk_norm:
        c[0] = c[0].times(_logits(attend, outs[0], outs[1], notes))
    # A bias of values is the same for every token: it passes attention as it is.
    return [_said(width, attend.heads, is_causal, has_qk_norm, c, c_out, c_b.plus(parts[2][1].times(c_out.value)))]


def _by_names(steps: list[Step]) -> list[Step]:
    """Queries, keys, values: by name where names say so, else in the order of their calls."""
    found = []
    for words in (_QUERY, _KEY, _VALUE):
        named = [step for step in steps if any(part in words for part in step.name.split(".")[-1].lower().split("_"))]
        found += named[:1]
    return found if len({id(step) for step in found}) == 3 else steps


def _is_normed(query: torch.Tensor | None) -> bool:
    """Have the queries of every head the same size, as behind a norm that is no module?"""
    if query is None:
        return False
    sizes = query.double().pow(2).mean(-1)
    return float(sizes.std()) < 0.01 * float(sizes.mean()) and abs(float(sizes.mean()) - 1) < 0.05


def _logits(attend: Step, query: torch.Tensor, key: torch.Tensor, notes: list[str]) -> float:
    """Mean square of the logits over that of q·k/√n_k, 1 where they cannot be told apart."""
    logits = attend.logits
    if logits is None or logits.dim() != 4 or query.shape != key.shape or query.dim() != 3:
        return 1.0
    samples, length = query.shape[:2]
    if logits.shape[0] != samples:
        query, key, samples, length = query.transpose(0, 1), key.transpose(0, 1), length, samples
    width = query.shape[-1] // attend.heads
    if logits.shape != (samples, attend.heads, length, length):
        return 1.0

    def by_head(x: torch.Tensor) -> torch.Tensor:
        return x.float().reshape(samples, length, attend.heads, width).transpose(1, 2)

    plain = by_head(query) @ by_head(key).transpose(-1, -2) / math.sqrt(width)
    # Models mask with −∞ or with a very large negative number.
    seen = torch.isfinite(logits) & (logits > -1e4)
    if not bool(seen.any()):
        return 1.0
    ratio = square(logits[seen]) / max(square(plain[seen]), 1e-300)
    if 0.8 < ratio < 1.25:
        return 1.0
    note = f"logits of attention are {math.sqrt(ratio):.3g} times q·k/√n; this is counted with the queries"
    if not notes or notes[-1] != note:
        notes.append(note)
    return ratio


def _mlp(steps: list[Step]) -> list[Layer]:
    if any(step.kind != "linear" for step in steps) or len(steps) not in (2, 3):
        names = ", ".join(step.name for step in steps) or "nothing"
        raise unknown(f"a branch of {names} is neither attention nor an MLP of two layers")
    *enters, last = steps
    assert last.into is not None, "linear layers take a tensor"
    bent = _few(last.into)
    down = dense(matrix(last)[:3])
    first = _few(enters[0].out)
    if len(enters) == 1 and first.shape == bent.shape:
        name = _which({name: act(first) for name, act in _ACTIVATIONS.items()}, bent)
        if name is None:
            raise unknown(f"the activation between {enters[0].name} and {last.name} is not among those that are known")
        return [dense(matrix(enters[0])[:3]), {"act": name}, down]
    half = bent.shape[-1]
    if len(enters) == 2:
        ways = [(_few(step.out), matrix(step)) for step in enters]
    else:
        cuts = (slice(0, half), slice(half, 2 * half))
        ways = [(first[..., rows], matrix(enters[0], rows)) for rows in cuts]
    if any(out.shape != bent.shape for out, _ in ways):
        raise unknown(f"the layers in front of {last.name} do not fit it")
    for (gate, of_gate), (other, of_other) in (ways, ways[::-1]):
        name = _which({name: act(gate) * other for name, act in _ACTIVATIONS.items()}, bent)
        if name is not None:
            chains = [[dense(of_gate[:3]), {"act": name}], [dense(of_other[:3])]]
            return [{"branches": "product", "of": chains}, down]
    raise unknown(f"what enters {last.name} is no product with a gate that is known")


def _few(tensor: torch.Tensor) -> torch.Tensor:
    """Some rows: enough to tell functions apart."""
    return tensor.flatten(0, -2)[:_ROWS]


def _which(candidates: dict[str, torch.Tensor], seen: torch.Tensor) -> str | None:
    """The nearest of what activations would give, if it is near."""
    size = math.sqrt(square(seen)) or 1.0
    apart = {name: math.sqrt(square(found - seen)) / size for name, found in candidates.items()}
    best = min(apart, key=lambda name: apart[name])
    return best if apart[best] < _ALIKE else None
