"""A transformer of PyTorch → the network that theory follows: its layers, and the variances with which its weights were drawn.

Little is told by names. Branches are found where two ways of the graph meet, norms in front or behind by the order of calls, activations,
scales and masks by what they do to numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .._error import Error
from . import batch as probes
from . import model as tree
from .branches import branch, matrix, norm, unknown
from .drawn import Drawn, Layer, are_copies, cosine, dense, factor, places, pooled, square, text
from .trace import Step, trace

#: Samples that are looked at.
_SAMPLES = 8
#: Fewest tokens of a text.
_TOKENS = 4
#: What passes a signal on as it is.
_THROUGH = ("dropout", "identity", "droppath")
#: What PyTorch's TransformerEncoder does to the layer that it is given.
_COPIES = (
    "all blocks start with the same numbers, as copies of one layer do (nn.TransformerEncoder): theory speaks of blocks that are drawn "
    "one by one; draw their weights again"
)
#: Share of a way that its parts may leave unexplained.
_LEFT = 1e-4


@dataclass
class Structure:
    """What was found."""

    #: The network, as ``carnot predict`` reads it.
    toml: str
    #: Chance that two tokens of a text are the same one, in the batch.
    matches: float
    #: Mean cosine of two tokens of a text at the start and behind each block, with its error over samples.
    cosines: list[tuple[float, float | None]]
    notes: list[str] = field(default_factory=list)


def structure(model: nn.Module, batch: Any) -> Structure:
    """Reads a transformer on the first samples of a batch.

    :raises Error: where something is not a transformer of tokens that theory follows, with the reason.
    """
    model = tree.unwrap(model)
    few, tokens = _few(model, batch)
    try:
        steps = trace(model, few)
        line = _Line(steps, tokens)
        is_causal = _sees_behind_only(model, few, tokens, line)
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError) as error:
        raise Error(
            "python/cannot-run",
            f"{type(model).__name__} cannot be run on this batch",
            f"{type(error).__name__}: {error}",
            "carnot.predict(model, x), with x as the model takes it",
        ) from error
    return line.read(type(model).__name__, is_causal)


def _few(model: nn.Module, batch: Any) -> tuple[probes.Batch, torch.Tensor]:
    """A few samples of the batch, where they will be run, and their tokens ``[samples, positions]``."""
    if batch is None:
        raise Error(
            "python/no-batch",
            "predict needs one batch of the model's inputs",
            "how a model is put together is seen when it runs",
            "carnot.predict(model, x), with x as the model takes it",
        )
    probe = batch if isinstance(batch, (tuple, list)) and len(batch) == 2 else (batch, None)
    whole = probes.read(probe)
    device = tree.device_of(model)

    def first(tensor: torch.Tensor) -> torch.Tensor:
        has_samples = tensor.dim() > 0 and tensor.shape[0] == whole.samples
        return (tensor[:_SAMPLES] if has_samples else tensor).to(device)

    args, kwargs = probes.mapped(whole.args, first), probes.mapped(whole.kwargs, first)
    whole_numbers = (torch.int64, torch.int32)
    tokens = next((t for t in probes.tensors((args, kwargs)) if t.dtype in whole_numbers and t.dim() == 2), None)
    if tokens is None:
        raise unknown("no tokens enter: theory by group follows transformers of whole numbers [samples, positions]")
    if tokens.shape[1] < _TOKENS:
        raise unknown(f"texts of {tokens.shape[1]} tokens are too short for averages", f"give at least {_TOKENS} tokens")
    return probes.Batch(args, kwargs, None, tokens.shape[0], None), tokens


def _sees_behind_only(model: nn.Module, batch: probes.Batch, tokens: torch.Tensor, line: _Line) -> bool:
    """Is the stream in front of the last token the same when that token is another?"""
    known = torch.unique(tokens)
    if len(known) < 2 or not line.sums:
        return False
    other = tokens.clone()
    other[:, -1] = torch.where(tokens[:, -1] == known[0], known[1], known[0])

    def changed(tensor: torch.Tensor) -> torch.Tensor:
        return other if tensor is tokens else tensor

    args, kwargs = probes.mapped(batch.args, changed), probes.mapped(batch.kwargs, changed)
    again = _Line(trace(model, probes.Batch(args, kwargs, None, batch.samples, None)), other)
    for sum, same in zip(line.sums, again.sums):
        a, b = line.positions(sum.out)[:, :-1], again.positions(same.out)[:, :-1]
        if square(a - b) > 1e-8 * square(a):
            return False
    return True


@dataclass
class _Row:
    """A branch with its skip."""

    layer: Layer
    attends: bool
    sum: Step
    norm: Step | None


class _Line:
    """The calls that lie in no branch, in their order: tables, sums, norms, the head."""

    def __init__(self, steps: list[Step], tokens: torch.Tensor) -> None:
        self.tokens = tokens
        self.samples, self.length = tokens.shape
        self.steps = [step for step in steps if not any(word in step.kind for word in _THROUGH) and not _is_bare(step)]
        self.sums = [step for step in self.steps if step.kind == "sum"]
        self.inside = [[step for step in self.steps if sum.parted < step.made < sum.made] for sum in self.sums]
        hidden = {id(step) for steps in self.inside for step in steps}
        self.line = [step for step in self.steps if id(step) not in hidden]
        self.notes: list[str] = []
        #: Factor of word vectors where they enter.
        self.scale = 1.0

    def positions(self, tensor: torch.Tensor) -> torch.Tensor:
        """``[samples, positions, …]``, also of models in which positions come first, or samples and positions are one axis."""
        if tensor.dim() == 2 and tensor.shape[0] == self.tokens.numel() and tensor.shape != self.tokens.shape:
            return tensor.reshape(self.samples, self.length, -1)
        is_turned = tuple(tensor.shape[:2]) == (self.length, self.samples) != (self.samples, self.length)
        return tensor.transpose(0, 1) if is_turned else tensor

    def read(self, name: str, is_causal: bool) -> Structure:
        if not self.sums or not self.inside[0]:
            raise unknown("no branch joins a stream: it has no residual blocks")
        within = [step for steps in self.inside for step in steps]
        if any(step.kind == "sum" for step in within):
            raise unknown("branches lie in branches, or side by side")
        if not any(step.kind in ("attention", "attend") for step in within):
            raise unknown("no branch attends: no softmax over the tokens was seen")
        first, last = (self.line.index(self.sums[at]) for at in (0, -1))
        table, start, stream = self._start(self.line[:first])
        rows = self._rows(stream, table.out.shape[-1], is_causal)
        self._check_line(self.line[first : last + 1])
        behind = self.line[last + 1 :]
        layers, is_post = _blocks(rows, self.notes)
        if rows[-1].norm is not None:
            behind = behind[1:]
            layers += [] if is_post else [norm(rows[-1].norm)]
        head = self._head(behind, table)
        cosines = [cosine(self.positions(stream)), *self._cosines(rows, is_post)]
        lines = [f"# {name}, as it is drawn", f"input = [{self.length}, 1]", "layers = ["]
        lines += [f"  {text(layer)}," for layer in [*start, *layers, *head]]
        return Structure("\n".join([*lines, "]"]) + "\n", self._matches(), cosines, self.notes)

    def _start(self, steps: list[Step]) -> tuple[Step, list[Layer], torch.Tensor]:
        """The table of the tokens, the layers in front of the blocks, and the stream that enters them."""
        tables = [step for step in steps if isinstance(step.module, nn.Embedding)]
        words = [step for step in tables if step.into is not None and self._are_tokens(step.into)]
        if not words:
            raise unknown("no table of vectors is looked up by the tokens")
        table = max(words, key=lambda step: step.module.num_embeddings)  # type: ignore[union-attr,arg-type,return-value]
        others = [step for step in steps if step not in tables]
        strange = [step for step in others if "norm" not in step.kind] or others[1:]
        if strange:
            raise unknown(f"{strange[0].name} ({strange[0].kind}) stands between the table and the blocks")
        entry = others[0].into if others else self.inside[0][0].into
        module = table.module
        assert isinstance(module, nn.Embedding), "tables are embeddings"
        width = module.embedding_dim
        if entry is None or entry.shape[-1] != width:
            raise unknown(f"the stream of the blocks is not as wide as the table of the tokens, {width}")
        vectors, sums = self.positions(table.out).double(), self.positions(entry).double()
        # What is added by place is the same in all samples and drops out of differences.
        apart = [x - x.mean(0) if self.samples > 1 else x for x in (sums, vectors)]
        scale, left = factor(apart[0], apart[1])
        if scale <= 0 or left > 0.01:
            raise unknown("what enters the blocks is not the word vectors and vectors of places")
        self.scale = scale
        if abs(scale - 1) > 1e-3:
            self.notes.append(f"word vectors enter {scale:.3g} times their table")
        weight = module.weight
        if module.padding_idx is not None:
            weight = torch.cat([weight[: module.padding_idx], weight[module.padding_idx + 1 :]])
        c = Drawn.of(weight, scale * scale)
        layers: list[Layer] = [{"embedding": width, "vocabulary": module.num_embeddings, "c_w": c}]
        rest = (sums - scale * vectors).mean(0)
        if square(rest) > 1e-6 * square(sums):
            layers.append(places(rest))
        if others:
            layers.append(norm(others[0]))
        return table, layers, others[0].out if others else entry

    def _are_tokens(self, indices: torch.Tensor) -> bool:
        indices = self.positions(indices)
        return indices.shape == self.tokens.shape and bool((indices == self.tokens).all())

    def _rows(self, stream: torch.Tensor, width: int, is_causal: bool) -> list[_Row]:
        rows = []
        for sum, steps in zip(self.sums, self.inside):
            at = self.line.index(sum)
            if sum.skip is None or sum.branch is None:
                raise unknown("both ways to a sum hold layers: branches side by side")
            skip, left = factor(sum.skip, stream) if sum.skip.numel() == stream.numel() else (0.0, 1.0)
            if not steps or left > _LEFT:
                raise unknown(f"the skip around {steps[0].name if steps else 'a branch'} changes the stream")
            end = steps[-1].out
            share, left = factor(sum.branch, end) if sum.branch.numel() == end.numel() else (0.0, 1.0)
            if left > _LEFT:
                raise unknown(f"what {steps[-1].name} gives is not added as it is")
            layers = branch(steps, width, is_causal, self.notes)
            layer: Layer = {"residual": round(skip, 6)}
            if abs(share - 1) > 1e-4:
                layer["branch"] = round(share, 6)
            later = self.line[at + 1] if at + 1 < len(self.line) else None
            behind = later if later is not None and "norm" in later.kind else None
            attends = any(step.kind in ("attention", "attend") for step in steps)
            rows.append(_Row(layer | {"block": layers}, attends, sum, behind))
            stream = sum.out if behind is None else behind.out
        return rows

    def _check_line(self, steps: list[Step]) -> None:
        for before, step in zip(steps, steps[1:]):
            if step.kind != "sum" and not ("norm" in step.kind and before.kind == "sum"):
                raise unknown(f"{step.name} ({step.kind}) stands between the blocks")

    def _cosines(self, rows: list[_Row], is_post: bool) -> list[tuple[float, float | None]]:
        """Behind each block: the last sum before the next that attends, with its norm."""
        found = []
        for at, row in enumerate(rows):
            is_last = at + 1 == len(rows)
            if not any(earlier.attends for earlier in rows[: at + 1]) or not (is_last or rows[at + 1].attends):
                continue
            ends = row.norm if row.norm is not None and (is_post or not is_last) else row.sum
            found.append(cosine(self.positions(ends.out)))
        return found

    def _head(self, steps: list[Step], table: Step) -> list[Layer]:
        layers = [step for step in steps if step.kind == "linear"]
        if not layers:
            raise unknown("no layer reads tokens from the last stream", "give the model with the head that predicts tokens")
        head = layers[-1]
        width = table.out.shape[-1]
        if head.into is None or head.into.dim() != 3:
            why = "its head reads one vector of a text, and gradients by group are known where every position is read"
            raise unknown(why, "give the model with the head that predicts tokens, as it is pretrained")
        c, b, kinds, inputs = matrix(head)
        if inputs != width:
            raise unknown(f"its head reads {inputs} numbers and the stream has {width}")
        assert head.module is not None and table.module is not None, "both are modules"
        if len(layers) > 1:
            names = ", ".join(step.name for step in layers[:-1])
            self.notes.append(f"left out between the last block and the head: {names}")
        elif head.module.weight is table.module.weight:
            return [{"unembedding": kinds, "scale": 1.0 / self.scale}]
        return [dense((c, b, kinds))]

    def _matches(self) -> float:
        t = self.length
        same = (self.tokens[:, :, None] == self.tokens[:, None, :]).double().sum((1, 2)) - t
        return min(float((same / (t * (t - 1))).mean()), 0.99)


def _is_bare(step: Step) -> bool:
    """Has a module nothing to learn, and is no norm? What it does is seen by what comes before and behind it."""
    return step.module is not None and next(step.module.parameters(), None) is None and "norm" not in step.kind


def _blocks(rows: list[_Row], notes: list[str]) -> tuple[list[Layer], bool]:
    """The layers of all blocks, as one that is repeated where they are alike; and whether a norm stands behind every sum."""
    is_post = all(row.norm is not None for row in rows)
    is_pre = not any(row.norm is not None for row in rows[:-1])
    pairs = list(zip(rows[::2], rows[1::2]))
    if len(rows) % 2 == 0 and all(one.attends and not two.attends for one, two in pairs) and (is_post or is_pre):
        blocks = [[layer for row in pair for layer in _with_norm(row, is_post)] for pair in pairs]
        if are_copies(blocks):
            notes.append(_COPIES)
        block = pooled(blocks)
        if block is not None:
            return [{"repeat": len(blocks), "block": block}], is_post
    flat = [layer for row in rows[:-1] for layer in _with_norm(row, True)]
    return flat + _with_norm(rows[-1], is_post), is_post


def _with_norm(row: _Row, wanted: bool) -> list[Layer]:
    return [row.layer, norm(row.norm)] if wanted and row.norm is not None else [row.layer]
