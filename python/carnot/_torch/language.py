"""Loads of a language model: the loss if the stack stopped at a block, and what a linear reader finds of the next token there.

Scatter of classes misleads for streams of language models, since they keep what later positions need. Two measures stand side by side:
the model's own head on the stream (lens), in nats, and ln(1 − R²) of a ridge regression to one-hot tokens on sequences that it has not
seen. Where they disagree, a block moves the stream into another basis.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from . import batch as probes

#: Tokens that are looked at, evenly over samples.
_ROWS = 8192
#: Tokens with fewer occurrences are no class of the reader; at most so many classes, the most frequent ones.
_FEWEST, _MOST = 20, 128
#: Widest stream that is read: the reader needs an eigendecomposition of its covariance.
_WIDEST = 2048
#: Numbers of logits at a time.
_LOGITS = 1 << 24
#: Strengths of the ridge, in units of the mean eigenvalue.
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def tell(calls: list[Any], y: torch.Tensor | None, inputs: Any, loss: float | None) -> None:
    """Puts lens loss and unexplained shares on every block of a model whose labels are those of positions."""
    blocks = [call for call in calls if call.role == "block" and call.full > 1]
    if y is None or y.dim() != 2 or y.is_floating_point() or len(blocks) < 2 or not calls:
        return
    blocks = [call for call in blocks if call.full == y.shape[1]]
    head = calls[-1]
    if len(blocks) < 2 or head.module is None or head.full != y.shape[1]:
        return
    y = y.detach().cpu().long()
    norm = head.fed_by if head.fed_by is not None and "norm" in head.fed_by.kind else None
    if norm is not None and norm.role == "block":
        norm = None
    lens = _Lens(head.module, None if norm is None else norm.module)
    targets = _aligned(lens, blocks[-1], y, loss)
    tokens = next((t for t in probes.tensors(inputs) if not t.is_floating_point() and t.shape[:2] == y.shape), None)
    before: dict[str, torch.Tensor] = {}
    for at, call in enumerate(blocks):
        if at == 0 and call.input is not None:
            before = _numbers(lens, _stream(call, call.input), call, targets, None)[1]
        current = None if tokens is None else tokens.detach().cpu().long()
        values, influences = _numbers(lens, _stream(call, call.features), call, targets, current)
        for name, (value, error) in values.items():
            call.told.append((name, value, error))
        for name, load in (("lens_loss", "load_lens"), ("unexplained_token", "load_token")):
            if name in influences and name in before and influences[name].shape == before[name].shape:
                difference = before[name] - influences[name]
                call.told.append((load, float(difference.mean()), _error(difference)))
        before = influences


class _Lens:
    """The model's own last norm and head."""

    def __init__(self, head: torch.nn.Module, norm: torch.nn.Module | None) -> None:
        self.head, self.norm = head, norm
        own = next(head.parameters())
        self.device, self.dtype = own.device, own.dtype

    def losses(self, stream: torch.Tensor, targets: torch.Tensor) -> torch.Tensor | None:
        """Cross-entropy of every row of the stream ``[rows, width]``."""
        out = []
        try:
            width = self.head(self._normed(stream[:1])).shape[-1]
            for part in range(0, len(stream), max(1, _LOGITS // width)):
                rows = slice(part, part + max(1, _LOGITS // width))
                logits = self.head(self._normed(stream[rows])).float().cpu()
                out.append(F.cross_entropy(logits, targets[rows], reduction="none"))
        except (RuntimeError, IndexError):
            # A head of another width than the stream, or one that takes more than a stream.
            return None
        return torch.cat(out).double()

    def _normed(self, stream: torch.Tensor) -> torch.Tensor:
        h = stream.to(self.device, self.dtype)
        return h if self.norm is None else self.norm(h)


def _stream(call: Any, features: Any) -> torch.Tensor:
    return torch.from_numpy(features).reshape(-1, call.positions, call.width)


def _aligned(lens: _Lens, last: Any, y: torch.Tensor, loss: float | None) -> torch.Tensor:
    """Next tokens ``[samples, positions]``, −100 where there is none. Labels that the model shifts by itself (as Hugging Face's) are
    recognised by the loss that it states."""
    ahead = torch.full_like(y, probes.IGNORED)
    ahead[:, :-1] = y[:, 1:]
    if loss is None or not math.isfinite(loss):
        return y

    def off(targets: torch.Tensor) -> float:
        losses = _read(lens, _stream(last, last.features), last, targets)
        return math.inf if losses is None else abs(float(losses[0].mean()) - loss)

    return ahead if off(ahead) < 0.5 * off(y) else y


def _read(
    lens: _Lens, stream: torch.Tensor, call: Any, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor] | None:
    rows, tokens, sample = _rows(stream, call, targets)
    losses = lens.losses(rows, tokens)
    return None if losses is None else (losses, sample)


def _rows(
    stream: torch.Tensor, call: Any, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The rows of a stream that have a next token, these tokens, and the sample each is of."""
    tokens = targets[: stream.shape[0], :: call.stride]
    samples = torch.arange(stream.shape[0])[:, None].expand_as(tokens)
    kept = (tokens != probes.IGNORED).flatten().nonzero()[:, 0]
    kept = kept[:: max(1, math.ceil(len(kept) / _ROWS))]
    return stream.flatten(0, 1)[kept], tokens.flatten()[kept], samples.flatten()[kept]


def _numbers(
    lens: _Lens, stream: torch.Tensor, call: Any, targets: torch.Tensor, current: torch.Tensor | None
) -> tuple[dict[str, tuple[float, float | None]], dict[str, torch.Tensor]]:
    """Values with errors, and for each its value in every sample, whose mean it is."""
    values: dict[str, tuple[float, float | None]] = {}
    influences: dict[str, torch.Tensor] = {}
    rows, tokens, sample = _rows(stream, call, targets)
    if not bool(torch.isfinite(rows).all()):
        return values, influences
    losses = lens.losses(rows, tokens)
    if losses is not None:
        influences["lens_loss"] = _by_sample(losses, sample)
        values["lens_loss"] = (float(losses.mean()), _error(influences["lens_loss"]))
    for name, of in (("unexplained_token", tokens), ("unexplained_current", None)):
        if of is None and current is not None:
            of = current[: stream.shape[0], :: call.stride].flatten()
            of = of[(targets[: stream.shape[0], :: call.stride] != probes.IGNORED).flatten()]
            of = of[:: max(1, math.ceil(len(of) / _ROWS))]
        found = None if of is None or rows.shape[1] > _WIDEST else unexplained(rows, of, sample)
        if found is not None:
            share, influence = found
            influences[name] = math.log(share) + influence
            values[name] = (share, share * (_error(influence) or math.nan))
    return values, influences


def unexplained(rows: torch.Tensor, tokens: torch.Tensor, sample: torch.Tensor) -> tuple[float, torch.Tensor] | None:
    """1 − R² of one-hot tokens on rows ``[rows, width]``, and the influence of every sample on its logarithm.

    Samples are halved; each half is read by a ridge regression that was fitted on the other, strength by leave-one-out there.
    """
    x = rows.double()
    x = x - x.mean(1, keepdim=True)
    x = x / x.pow(2).mean(1, keepdim=True).sqrt().clamp(min=1e-12)
    names, counts = torch.unique(tokens, return_counts=True)
    names = names[counts >= _FEWEST][counts[counts >= _FEWEST].argsort(descending=True)][:_MOST]
    if len(names) < 2:
        return None
    is_known = torch.isin(tokens, names)
    x, tokens, sample = x[is_known], tokens[is_known], sample[is_known]
    y = (tokens[:, None] == names[None, :]).double()
    ids = torch.unique(sample)
    in_first = torch.isin(sample, ids[::2])
    residual, total = torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(x), dtype=torch.float64)
    for fit, read in ((in_first, ~in_first), (~in_first, in_first)):
        if int(fit.sum()) < 2 * len(names) or not bool(read.any()):
            return None
        mean, prior = x[fit].mean(0), y[fit].mean(0)
        weight = _ridge(x[fit] - mean, y[fit] - prior)
        residual[read] = (y[read] - prior - (x[read] - mean) @ weight).pow(2).sum(1)
        total[read] = (y[read] - prior).pow(2).sum(1)
    share = float(residual.sum() / total.sum())
    if not 0 < share < math.inf:
        return None
    return share, _by_sample(residual / residual.mean() - total / total.mean(), sample)


def _ridge(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    n, width = x.shape
    values, vectors = torch.linalg.eigh(x.T @ x / n)
    values = values.clamp(min=0)
    turned, target = x @ vectors, vectors.T @ (x.T @ y) / n
    best = (math.inf, target)
    for strength in _STRENGTHS:
        gain = 1.0 / (values + strength * float(values.mean()) + 1e-12)
        weight = gain[:, None] * target
        leverage = (turned.pow(2) * gain).sum(1) / n
        left_out = (y - turned @ weight) / (1 - leverage).clamp(min=1e-3)[:, None]
        error = float(left_out.pow(2).sum())
        if error < best[0]:
            best = (error, weight)
    solved: torch.Tensor = vectors @ best[1]
    return solved


def _by_sample(values: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
    """Mean over the rows of each sample, weighted so that the mean over samples is the mean over rows."""
    n = int(sample.max()) + 1
    sums = torch.zeros(n, dtype=torch.float64).index_add_(0, sample, values)
    counts = torch.zeros(n, dtype=torch.float64).index_add_(0, sample, torch.ones_like(values))
    seen = counts > 0
    means: torch.Tensor = sums[seen] / counts[seen].mean()
    return means


def _error(values: torch.Tensor) -> float | None:
    n = values.numel()
    return float(values.std() / math.sqrt(n)) if n > 1 else None
