"""One pass over the probe: what every module said, and the gradient with respect to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from . import attention, graph, language
from . import batch as probes
from . import model as tree
from .layout import SAMPLES, Layout, array, layout, looks_up_places, read_positions, table
from .state import undisturbed
from .weights import norm

Array = np.ndarray[Any, Any]

#: Additions that may be the end of a residual block.
_ADDITIONS: set[Any] = {
    torch.add,
    torch.Tensor.add,
    torch.Tensor.add_,
    torch.Tensor.__add__,
    torch.Tensor.__iadd__,
    torch.Tensor.__radd__,
}

#: Activations that are called as functions.
_ACTIVATIONS: dict[Any, str] = {}
for _name in (
    "relu relu6 leaky_relu gelu silu mish elu selu celu softplus tanh sigmoid hardtanh hardsigmoid hardswish softsign logsigmoid"
).split():
    for _home in (F, torch, torch.Tensor):
        for _spelled in (_name, _name + "_"):
            if hasattr(_home, _spelled):
                _ACTIVATIONS[getattr(_home, _spelled)] = _name
_ACTIVATIONS[torch.special.expit] = "sigmoid"
_ACTIVATIONS[torch.erf] = "erf"


@dataclass
class Call:
    """What one module said, and where it stands."""

    name: str
    kind: str
    index: int
    positions: int
    width: int
    features: Array
    #: Positions of the output, of which every ``stride``-th is read.
    full: int = 1
    stride: int = 1
    role: str = "chain"
    input: Array | None = None
    gradient: Array | None = None
    #: Numbers of its weight, as JSON.
    weights: str | None = None
    #: Weight of the head, where this is the head.
    classifier: Array | None = None
    #: Name, value and error of what only this side can know.
    told: list[tuple[str, float, float | None]] = field(default_factory=list)
    weight: torch.Tensor | None = None
    module: nn.Module | None = None
    #: When its output was made, in the order of the graph.
    made: int | None = None
    #: The call that feeds it, and for a block the call that its branch ends with.
    fed_by: Call | None = None


@dataclass
class _Addition:
    """What is known of an addition before it is done: it may write over its operands."""

    #: When the node was made where its two ways part.
    parted: int
    #: What the skip carries.
    skip: Array
    #: The call whose output the skip carries, where it is one.
    origin: Call | None
    #: The call that the branch ends with, where the other way is a plain skip.
    ending: Call | None


@dataclass
class Pass:
    """Everything that one pass read."""

    calls: list[Call]
    loss: float | None
    objective: str
    skipped: dict[str, str]
    gradients: dict[int, float]
    no_gradient: str | None = None
    labels: torch.Tensor | None = None
    notes: list[str] = field(default_factory=list)


def run(model: nn.Module, leaves: list[tree.Leaf], batch: probes.Batch) -> Pass:
    """Runs the probe once, in eval mode, and leaves everything as it was."""
    with undisturbed(model):
        try:
            return _Reader(model, leaves, batch).run(wants_inputs=True)
        except RuntimeError as error:
            # A model that writes into its inputs does not take ones with gradients; another reason comes again.
            if "in-place" not in str(error) and "inplace" not in str(error):
                raise
            return _Reader(model, leaves, batch).run(wants_inputs=False)


def attempt(model: nn.Module, batch: probes.Batch) -> None:
    """Runs the probe once and reads nothing: the errors of a probe that does not fit the model are its own."""
    with undisturbed(model), torch.no_grad():
        reader = _Reader(model, [], batch)
        cut = reader._cut(batch)

        def own(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.detach().clone() if tensor.is_floating_point() else tensor

        model(*probes.mapped(cut.args, own), **probes.mapped(cut.kwargs, own))


class _Reader:
    def __init__(self, model: nn.Module, leaves: list[tree.Leaf], batch: probes.Batch) -> None:
        self.model = model
        self.leaves = leaves
        self.batch = batch
        self.samples = min(batch.samples, SAMPLES)
        self.calls: list[Call] = []
        self.counts: dict[str, int] = {}
        self.skipped: dict[str, str] = {}
        self.stack: list[str] = []
        self.inside = 0
        self.is_channels_first = False
        self.roots: list[torch.Tensor] = []
        self.made: dict[int, Call] = {}
        self.feeder: Call | None = None
        self.origins: set[int] = set()
        #: Of attention inside a module that is read whole.
        self.attended: list[attention.Told] = []

    def run(self, wants_inputs: bool) -> Pass:
        args, kwargs = self._inputs(wants_inputs)
        with ExitStack() as stack:
            for handle in self._hooks():
                stack.callback(handle.remove)
            stack.enter_context(_Functions(self))
            output = self.model(*args, **kwargs)
        self._norms_behind_additions()
        batch = self._cut(self.batch)
        value, objective = probes.objective(batch, output)
        gradients, why_not = self._backward(value, output)
        number = float(value.detach())
        known = objective != "a random combination of the outputs" and np.isfinite(number)
        labels = probes.class_labels(batch)
        with torch.no_grad():
            language.tell(self.calls, batch.target, (batch.args, batch.kwargs), number if known else None)
        return Pass(self.calls, number if known else None, objective, self.skipped, gradients, why_not, labels)

    def _cut(self, batch: probes.Batch) -> probes.Batch:
        device = tree.device_of(self.model)

        def first(tensor: torch.Tensor) -> torch.Tensor:
            is_long = tensor.dim() > 0 and tensor.shape[0] == batch.samples and batch.samples > SAMPLES
            return (tensor[:SAMPLES] if is_long else tensor).to(device)

        return probes.Batch(
            probes.mapped(batch.args, first),
            probes.mapped(batch.kwargs, first),
            None if batch.target is None else first(batch.target),
            self.samples,
            batch.loss,
        )

    def _inputs(self, wants_gradient: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        cut = self._cut(self.batch)

        def fresh(tensor: torch.Tensor) -> torch.Tensor:
            if not tensor.is_floating_point():
                return tensor
            own = tensor.detach()
            if wants_gradient:
                own = own.clone().requires_grad_(True)
                self.roots.append(own)
            # A model may write into its input: it gets one that nobody else holds.
            return own.clone()

        args, kwargs = probes.mapped(cut.args, fresh), probes.mapped(cut.kwargs, fresh)
        first = next((t for t in probes.tensors((args, kwargs)) if t.is_floating_point()), None)
        if first is not None:
            self.is_channels_first = first.dim() > 3
            self.take("input", "input", None, first)
        return args, kwargs

    def _hooks(self) -> list[Any]:
        handles = []
        named = {leaf.module: leaf for leaf in self.leaves}
        for name, module in self.model.named_modules():
            leaf = named.get(module)
            if leaf is None:
                handles.append(module.register_forward_pre_hook(self._enter(name), prepend=True))
                handles.append(module.register_forward_hook(self._leave, prepend=True, always_call=True))
            else:
                handles.append(module.register_forward_pre_hook(self._enter_leaf, prepend=True))
                handles.append(module.register_forward_hook(self._leave_leaf(leaf), always_call=True))
        return handles

    def _enter(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any) -> None:
            self.stack.append(name)

        return hook

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if self.stack:
            self.stack.pop()

    def _enter_leaf(self, module: nn.Module, args: Any) -> None:
        if self.inside == 0:
            first = probes.vectors(args)
            self.feeder = None if first is None else self.source(first)
        self.inside += 1

    def source(self, tensor: torch.Tensor) -> Call | None:
        """The call that a tensor comes from."""
        found = graph.nearest(tensor.grad_fn, set(self.made))
        return None if found is None else self.made[found]

    def _leave_leaf(self, leaf: tree.Leaf) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            self.inside -= 1
            if self.inside == 0:
                feeder = self.feeder
                tensor = probes.vectors(output)
                places = "embedding" in leaf.kind and bool(args) and looks_up_places(args[0], self.samples)
                how = table(tensor.shape, self.samples) if places and tensor is not None else None
                call = self.take(leaf.name, leaf.kind, leaf.module, tensor, how)
                if call is not None:
                    call.fed_by = feeder
                    call.told += self.attended
                self.attended = []

        return hook

    def take(
        self, name: str, kind: str, module: nn.Module | None, tensor: torch.Tensor | None, how: Layout | str | None = None
    ) -> Call | None:
        """Reads one output; a module without vectors is remembered with the reason."""
        if tensor is None:
            self.skipped.setdefault(name, "no vectors")
            return None
        how = how or layout(tensor.shape, kind, self.samples, self.is_channels_first)
        if isinstance(how, str):
            self.skipped.setdefault(name, how)
            return None
        if tensor.is_leaf and not tensor.requires_grad and name != "input":
            # Behind frozen tables: without this nothing before the first trained weight would have a gradient.
            tensor.requires_grad_(True)
            self.roots.append(tensor)
        self.is_channels_first = how.is_channels_first
        index = self.counts.get(name, 0)
        self.counts[name] = index + 1
        weight = None if module is None else tree.weight_of(module)
        features = array(tensor, how, self.samples)
        places = read_positions(how)
        call = Call(name, kind, index, places, how.width, features, how.positions, how.stride, weight=weight, module=module)
        call.made = None if tensor.grad_fn is None else graph.order(tensor.grad_fn)
        self.calls.append(call)
        if call.made is not None:
            self.made[call.made] = call
        if how.is_table:
            # Its gradient is that of the whole batch, of no sample.
            call.role = "table"
        elif tensor.requires_grad:
            tensor.register_hook(self._keep_gradient(call, how))  # type: ignore[no-untyped-call]
        return call

    def _keep_gradient(self, call: Call, how: Layout) -> Callable[[torch.Tensor], None]:
        def hook(gradient: torch.Tensor) -> None:
            kept = array(gradient, how, self.samples)
            call.gradient = kept if call.gradient is None else call.gradient + kept

        return hook

    def after_function(self, kind: str, source: Call | None, result: Any) -> None:
        """An activation that is called as a function stands behind the call whose output it changes."""
        before = source.name if source is not None else ""
        home = self.stack[-1] if self.stack else ""
        name = f"{before}.{kind}" if before not in ("", "input") else f"{home}.{kind}".lstrip(".")
        call = self.take(name, kind, None, result if isinstance(result, torch.Tensor) else None)
        if call is not None:
            call.fed_by = source

    def after_addition(self, parts: _Addition, result: torch.Tensor) -> None:
        """The end of a residual block: what was made since the two ways parted lies inside."""
        for call in self.calls:
            if call.made is not None and call.made > parts.parted and call.role != "table":
                call.role = "inside"
        name = f"{self.stack[-1]}.add" if self.stack and self.stack[-1] else "add"
        block = self.take(name, "residual", None, result)
        if block is not None:
            block.role, block.fed_by = "block", parts.ending
            if parts.origin is not None:
                self.origins.add(id(parts.origin))
            block.input = parts.skip if parts.skip.size == block.features.size else None

    def _norms_behind_additions(self) -> None:
        """With post-norm the stream is what the norm behind an addition says: the next skip carries that."""
        pairs = [
            (call.fed_by, call)
            for call in self.calls
            if "norm" in call.kind and call.fed_by is not None and call.fed_by.role == "block"
        ]
        if not any(id(norm) in self.origins for _, norm in pairs):
            return
        last = max((call.made or 0 for call in self.calls if call.role == "block"), default=0)
        for block, norm in pairs:
            # Behind the last addition no further skip shows it; there the norm of the stack before decides.
            if id(norm) in self.origins or block.made == last:
                norm.role, norm.input = "block", block.input
                block.role, block.input = "inside", None

    def addition(self, left: torch.Tensor, right: torch.Tensor) -> _Addition | None:
        """Before an addition is done: where its two ways parted, and what the skip carries."""
        if left.shape != right.shape or not left.is_floating_point() or not right.is_floating_point():
            return None
        if left.grad_fn is None or right.grad_fn is None or left.grad_fn is right.grad_fn:
            return None
        how = layout(left.shape, "residual", self.samples, self.is_channels_first)
        if isinstance(how, str):
            return None
        parted = graph.joined(left.grad_fn, right.grad_fn)
        if parted is None or not any(call.made is not None and call.made > parted for call in self.calls):
            return None
        is_left = graph.order(left.grad_fn) < graph.order(right.grad_fn)
        older, newer = (left, right) if is_left else (right, left)
        # Where both ways hold layers, as around a change of width, neither is the branch.
        is_skip = graph.order(older.grad_fn) == parted
        ending = self.source(newer) if is_skip else None
        return _Addition(parted, array(older, how, self.samples), self.made.get(parted), ending)

    def _backward(self, value: torch.Tensor, output: Any) -> tuple[dict[int, float], str | None]:
        if not value.requires_grad:
            return {}, "the output does not depend on anything that has a gradient"
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        wanted = [*parameters, *self.roots]
        first = probes.vectors(output)
        # Gradients of half precision vanish below 6e-8: they are scaled on their way and divided at the end.
        is_half = first is not None and first.dtype == torch.float16
        scale = 1024.0 if is_half else 1.0
        try:
            gradients = torch.autograd.grad(value * scale, wanted, allow_unused=True)
        except RuntimeError as error:
            return {}, str(error).splitlines()[0]
        if scale != 1.0:
            for call in self.calls:
                if call.gradient is not None:
                    call.gradient = call.gradient / np.float32(scale)
        pairs = zip(parameters, gradients)
        return {id(p): 0.0 if g is None else norm(_dense(g)) / scale for p, g in pairs}, None


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


class _Functions(TorchFunctionMode):
    """Sees activations and additions that are no modules."""

    def __init__(self, reader: _Reader) -> None:
        super().__init__()
        self.reader = reader

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        reader = self.reader
        if attention.attends(func):
            self._attend(func, args, kwargs)
        if reader.inside:
            return func(*args, **kwargs)
        if func in _ADDITIONS:
            pair = args[:2]
            both = len(pair) == 2 and all(isinstance(part, torch.Tensor) for part in pair)
            parts = reader.addition(*pair) if both and not kwargs else None
            result = func(*args, **kwargs)
            if parts is not None:
                reader.after_addition(parts, result)
            return result
        kind = _ACTIVATIONS.get(func)
        if kind is None or not args or not isinstance(args[0], torch.Tensor):
            return func(*args, **kwargs)
        source = reader.source(args[0])
        result = func(*args, **kwargs)
        reader.after_function(kind, source, result)
        return result

    def _attend(self, func: Any, args: Any, kwargs: Any) -> None:
        """Attention is told of where its queries come from."""
        reader = self.reader
        queries, told = attention.told(func, args, kwargs)
        if reader.inside:
            reader.attended += told
            return
        source = None if queries is None else reader.source(queries)
        if source is not None:
            source.told += [one for one in told if one[0] not in {name for name, *_ in source.told}]
