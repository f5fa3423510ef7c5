"""Critical initialisation: what theory recommends, put into the model's layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .. import _native
from .._error import Error
from . import batch as probes
from . import model as tree
from . import reading

#: Layers that are initialised.
_LAYERS = ("linear", "conv1d", "conv2d", "conv3d", "convtranspose1d", "convtranspose2d", "convtranspose3d", "attention")
#: What resets the scale of a signal: the layer behind it sees vectors of size one.
_NORMS = ("norm", "embedding")
#: What passes a signal on as it is.
_THROUGH = ("dropout", "identity", "flatten", "pool", "unflatten", "dropblock", "droppath")
#: Class in lower case → the activation as Carnot writes it.
_SPELLED = {"gelutanh": "gelu", "relu6": "relu"}


@dataclass(frozen=True)
class Start:
    """How one layer was started."""

    layer: str
    #: Weight variance × fan-in.
    c_w: float
    #: Bias variance.
    c_b: float
    #: Standard deviation of its weights.
    deviation: float
    #: Which activation feeds it, and what else counted.
    because: str


@dataclass
class Initialised:
    """What :func:`carnot.init_` did, what it left, and why."""

    layers: list[Start] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "layers": [vars(start) for start in self.layers],
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        width = max([len(start.layer) for start in self.layers] + [len(name) for name in self.skipped] + [5])
        lines = [f"initialised {len(self.layers)} layers, left {len(self.skipped)}"]
        for start in self.layers:
            lines.append(
                f"  {start.layer:<{width}}  C_W {start.c_w:<8.4g} C_b {start.c_b:<8.4g} std {start.deviation:<9.4g} "
                f"{start.because}"
            )
        lines += [f"  {name:<{width}}  left: {why}" for name, why in self.skipped.items()]
        return "\n".join(lines + [f"  {note}" for note in self.notes])


@dataclass
class _Place:
    """What is known of where a layer stands."""

    #: The activation that feeds it, ``linear`` behind a norm or another layer, ``None`` where nothing was found.
    feeding: str | None
    words: str
    ends_block: bool = False


def init_(model: nn.Module, batch: Any = None, *, generator: torch.Generator | None = None) -> Initialised:
    """See :func:`carnot.init_`."""
    model = tree.unwrap(model)
    leaves = tree.leaves(model)
    done = Initialised()
    places, blocks = _by_order(leaves, done) if batch is None else _by_graph(model, leaves, batch)
    advice: dict[str, tuple[float | None, float | None, str, bool]] = {}
    seen: dict[int, str] = {}
    for leaf in leaves:
        why = _refused(leaf, places, seen)
        if why is not None:
            if next(leaf.module.parameters(), None) is not None:
                done.skipped[leaf.name] = why
            continue
        place = places[leaf.name]
        name = place.feeding or "linear"
        if name not in advice:
            advice[name] = _advice(name, done)
        c_w, c_b, words, _ = advice[name]
        if c_w is None or c_b is None:
            c_w, c_b, words = 1.0, 0.0, f"{words}: variance kept instead"
        scale = 1.0 / blocks if place.ends_block and blocks else 1.0
        because = place.words if name == "linear" else f"{place.words}: {words}"
        if scale != 1.0:
            because += f"; ends one of {blocks} blocks: × 1/{blocks}"
        done.layers.append(_draw(leaf, c_w * scale, c_b * scale, because, generator))
    if not done.layers:
        raise Error(
            "python/nothing-to-initialise",
            f"{type(model).__name__} has no linear or convolution layer that could be initialised",
            "; ".join(f"{name}: {why}" for name, why in done.skipped.items()) or "it has no parameters",
            "initialise its own parameters by hand",
        )
    return done


def _refused(leaf: tree.Leaf, places: dict[str, _Place], seen: dict[int, str]) -> str | None:
    """Why a module is left as it is; ``None`` when it is not."""
    module = leaf.module
    weight = tree.weight_of(module)
    if weight is not None:
        owner = seen.setdefault(id(weight), leaf.name)
        if owner != leaf.name:
            return f"its weight is that of {owner}"
    if "norm" in leaf.kind:
        return "norm: weight 1 and bias 0 are its start"
    if "embedding" in leaf.kind:
        return "table of vectors: it has no fan-in"
    if isinstance(module, nn.RNNBase):
        return "recurrent: no theory of its initialisation here"
    if leaf.kind not in _LAYERS or weight is None:
        return f"{leaf.kind}: not a linear or convolution layer"
    if hasattr(module, "parametrizations") or hasattr(module, "weight_g"):
        return "parametrised: its weight is computed from others"
    if isinstance(weight, nn.parameter.UninitializedParameter):
        return "lazy: it has no shape before the first forward pass"
    if not weight.is_floating_point():
        return "quantised: its weight holds whole numbers"
    if not weight.requires_grad:
        return "frozen: it does not learn"
    if leaf.name not in places:
        return "not called on this batch"
    return None


def _advice(name: str, done: Initialised) -> tuple[float | None, float | None, str, bool]:
    if name == "linear":
        return 1.0, 0.0, "", True
    try:
        return _native.critical(name)
    except Error as error:
        done.notes.append(f"{name}: {error.problem}; its layers keep the variance (C_W = 1)")
        return 1.0, 0.0, "not known", False


def _draw(leaf: tree.Leaf, c_w: float, c_b: float, because: str, generator: torch.Generator | None) -> Start:
    module = leaf.module
    weight = tree.weight_of(module)
    assert weight is not None, "a layer without weights was refused before"
    inputs = tree.fan_in(module, weight) or 1
    deviation = (c_w / inputs) ** 0.5
    with torch.no_grad():
        if isinstance(module, nn.MultiheadAttention):
            # Only the way out ends the block; queries, keys and values see the normalised stream.
            own = [getattr(module, f"{name}_proj_weight", None) for name in ("in", "q", "k", "v")]
            for matrix in own:
                if isinstance(matrix, torch.Tensor):
                    matrix.normal_(0.0, (1.0 / matrix.shape[1]) ** 0.5, generator=generator)
            module.out_proj.weight.normal_(0.0, deviation, generator=generator)
            biases: list[Any] = [module.in_proj_bias, module.out_proj.bias]
        else:
            weight.normal_(0.0, deviation, generator=generator)
            biases = [getattr(module, "bias", None)]
        for bias in biases:
            if isinstance(bias, torch.Tensor):
                bias.normal_(0.0, c_b**0.5, generator=generator) if c_b > 0 else bias.zero_()
    return Start(leaf.name, c_w, c_b, deviation, because)


def _activation(kind: str, module: nn.Module | None) -> str | None:
    """The activation as Carnot writes it; ``None`` for what is none."""
    if isinstance(module, nn.LeakyReLU):
        return f"leaky_relu({module.negative_slope})"
    if isinstance(module, nn.PReLU):
        return f"leaky_relu({float(module.weight.detach().float().mean()):.6g})"
    if isinstance(module, (nn.ELU, nn.CELU)):
        return f"elu({module.alpha})" if isinstance(module, nn.ELU) and module.alpha != 1 else "elu"
    if isinstance(module, nn.Threshold) or kind.startswith(("softmax", "logsoftmax", "glu")):
        return None
    spelled = kind.replace("_", "")
    known = {name.replace("_", ""): name for name in reading._ACTIVATIONS.values()}
    return _SPELLED.get(spelled) or known.get(spelled) or _SPELLED.get(kind)


def _fed(call: reading.Call) -> tuple[str | None, str]:
    """The activation before a call, through everything that passes a signal on."""
    at = call.fed_by
    while at is not None:
        found = _activation(at.kind, at.module)
        if found is not None:
            return found, f"fed by {found}"
        if any(word in at.kind for word in _THROUGH):
            at = at.fed_by
            continue
        if any(word in at.kind for word in _NORMS):
            return "linear", f"behind {at.kind}"
        if at.kind == "input":
            return None, "first layer"
        return "linear", f"behind {at.name}, with no activation between"
    return None, "first layer"


def _weighted(call: reading.Call | None) -> reading.Call | None:
    """The layer behind dropouts and the like, with which a branch ends."""
    while call is not None and any(word in call.kind for word in _THROUGH):
        call = call.fed_by
    return call


def _by_graph(model: nn.Module, leaves: list[tree.Leaf], batch: Any) -> tuple[dict[str, _Place], int]:
    probe = batch if isinstance(batch, (tuple, list)) and len(batch) == 2 else (batch, None)
    seen = reading.run(model, leaves, probes.read(probe))
    blocks = [call for call in seen.calls if call.kind == "residual"]
    ends = {id(_weighted(call.fed_by)) for call in blocks if call.fed_by is not None}
    places: dict[str, _Place] = {}
    for at, call in enumerate(seen.calls):
        if call.module is None or call.name in places:
            continue
        feeding, words = _fed(call)
        if feeding is None:
            later = (_activation(after.kind, after.module) for after in seen.calls[at + 1 :])
            feeding = next((found for found in later if found is not None), None)
            words = f"first layer, followed by {feeding}" if feeding else "no activation anywhere"
        places[call.name] = _Place(feeding, words, id(call) in ends)
    return places, len(blocks)


def _by_order(leaves: list[tree.Leaf], done: Initialised) -> tuple[dict[str, _Place], int]:
    """Without inputs: the modules in the order in which they were made."""
    names = [_activation(leaf.kind, leaf.module) for leaf in leaves]
    layers = [leaf for leaf in leaves if leaf.kind in _LAYERS]
    if not any(names) and len(layers) > 1:
        raise Error(
            "python/activation-unknown",
            "no activation is a module of this model",
            "it calls its activations as functions, or has none; without inputs they cannot be seen",
            "carnot.init_(model, x) with one batch of inputs",
        )
    places: dict[str, _Place] = {}
    last: str | None = None
    first = next((name for name in names if name is not None), None)
    for leaf, name in zip(leaves, names):
        if name is not None:
            last = name
        elif any(word in leaf.kind for word in _NORMS):
            # Behind a norm that no activation has come before, a layer sees vectors of size one.
            last = last or "linear"
        elif leaf.kind in _LAYERS:
            words = f"fed by {last}" if last is not None else f"first layer, followed by {first}"
            places[leaf.name] = _Place(last if last is not None else first, words)
    done.notes.append("activations were found by the order of the modules; carnot.init_(model, x) looks where they are used")
    return places, 0
