"""One forward pass of which every call keeps its tensors: what a model is made of, seen from outside."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from . import batch as probes
from . import graph
from . import model as tree
from .reading import _ADDITIONS
from .state import undisturbed

#: Norms that are called as functions.
_NORMS = {getattr(F, name) for name in ("layer_norm", "rms_norm") if hasattr(F, name)}
_SOFTMAX = {torch.softmax, F.softmax, torch.Tensor.softmax}


@dataclass(eq=False)
class Step:
    """One call: of a module, a norm, a sum of two ways, or of attention."""

    name: str
    kind: str
    out: torch.Tensor
    #: When it was made, in the order of the graph.
    made: int
    module: nn.Module | None = None
    into: torch.Tensor | None = None
    #: Of a sum x + f(x): when x was made, x as it is added, and f(x) as it is added.
    parted: int = -1
    skip: torch.Tensor | None = None
    branch: torch.Tensor | None = None
    #: Of attention: heads, and a few of its logits before the mask.
    heads: int = 1
    logits: torch.Tensor | None = None
    #: Of attention: queries, where they are seen.
    query: torch.Tensor | None = None


def trace(model: nn.Module, batch: probes.Batch) -> list[Step]:
    """The calls of one pass in eval mode, in the order of the graph."""
    with undisturbed(model):
        tracer = _Tracer()
        with ExitStack() as stack:
            for leaf in tree.leaves(model):
                stack.callback(leaf.module.register_forward_pre_hook(tracer.enter, with_kwargs=True).remove)
                stack.callback(leaf.module.register_forward_hook(tracer.leave(leaf), with_kwargs=True).remove)
            stack.enter_context(_Functions(tracer))
            model(*batch.args, **batch.kwargs)
    return sorted(tracer.steps, key=lambda step: step.made)


class _Tracer:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.made: set[int] = set()
        self.inside = 0

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.inside += 1

    def leave(self, leaf: tree.Leaf) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            self.inside -= 1
            out = probes.vectors(output)
            if self.inside or out is None:
                return
            if isinstance(module, nn.Embedding) and not out.requires_grad:
                # Without this nothing in front of the first weight that learns would be in the graph.
                out.requires_grad_(True)
            into = next(iter(probes.tensors((args, kwargs))), None)
            self.take(Step(leaf.name, leaf.kind, out, -1, module, into))

        return hook

    def take(self, step: Step) -> None:
        """Keeps a call whose place in the graph is known; tables that do not learn stand before all others."""
        node = step.out.grad_fn
        if node is not None:
            step.made = graph.order(node)
            self.made.add(step.made)
        step.out = step.out.detach()
        step.into = None if step.into is None else step.into.detach()
        self.steps.append(step)

    def sum(self, left: torch.Tensor, right: torch.Tensor, made: Callable[[], torch.Tensor]) -> torch.Tensor:
        """An addition, kept where its two ways come from one stream and one of them holds layers."""
        parted = None
        if left.shape == right.shape and left.grad_fn is not None and right.grad_fn is not None:
            parted = graph.joined(left.grad_fn, right.grad_fn)
        if parted is None or not any(step.made > parted for step in self.steps):
            return made()
        since = [(graph.nearest(side.grad_fn, self.made) or -1) > parted for side in (left, right)]
        if not any(since):
            # Two parts of one thing, as where places are turned into queries.
            return made()
        # Copies: the addition may be done in place.
        ways = [left.detach().clone(), right.detach().clone()]
        out = made()
        plain = since.index(False) if since.count(False) == 1 else None
        step = Step("sum", "sum", out, -1, parted=parted)
        if plain is not None:
            step.skip, step.branch = ways[plain], ways[1 - plain]
        self.take(step)
        return out

    def attend(self, func: Any, args: Any, kwargs: Any, out: torch.Tensor) -> None:
        """Softmax over as many keys as queries, or the function that attends."""
        step = Step("attention", "attend", out, -1)
        if func is F.scaled_dot_product_attention:
            names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
            given = dict(zip(names, args)) | kwargs
            query, key = given["query"].detach(), given["key"].detach()
            if query.dim() != 4 or query.shape[-1] != key.shape[-1]:
                return
            scale = given.get("scale") or query.shape[-1] ** -0.5
            if key.shape[1] != query.shape[1]:
                key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
            step.heads, step.query = int(query.shape[1]), query
            step.logits = query.float() @ key.float().transpose(-1, -2) * scale
        else:
            logits = args[0]
            dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
            if logits.dim() not in (3, 4) or dim not in (-1, logits.dim() - 1) or logits.shape[-1] != logits.shape[-2]:
                return
            step.heads = int(logits.shape[1]) if logits.dim() == 4 else 1
            step.logits = logits.detach().float()
        self.take(step)


class _Functions(TorchFunctionMode):
    """Sees sums, norms and attention that are no modules."""

    def __init__(self, tracer: _Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tracer = self.tracer
        if tracer.inside:
            return func(*args, **kwargs)
        pair = args[:2]
        if func in _ADDITIONS and len(pair) == 2 and not kwargs and all(isinstance(x, torch.Tensor) for x in pair):
            return tracer.sum(pair[0], pair[1], lambda: func(*args))
        out = func(*args, **kwargs)
        if func in _NORMS:
            tracer.take(Step("norm", "layernorm" if func is F.layer_norm else "rmsnorm", out, -1, into=args[0]))
        elif func is F.scaled_dot_product_attention or func in _SOFTMAX:
            tracer.attend(func, args, kwargs, out)
        return out
