"""What attention looks at, where queries and keys are seen: entropy of its weights, and its largest logit."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

#: Logits of one call that are looked at; beyond it samples are left out.
_LOGITS = 1 << 22

Told = tuple[str, float, float | None]


def told(func: Any, args: Any, kwargs: dict[str, Any]) -> tuple[torch.Tensor | None, list[Told]]:
    """Of a call of a function that attends: the tensor that its queries come from, and numbers; none for other functions."""
    with torch.no_grad():
        if func is F.scaled_dot_product_attention:
            return _product(args, kwargs)
        if func is F.multi_head_attention_forward:
            return _module(args, kwargs)
        if func in _SOFTMAX:
            return _softmax(args, kwargs)
    return None, []


_SOFTMAX = {torch.softmax, F.softmax, torch.Tensor.softmax}


def attends(func: Any) -> bool:
    """Is it a function that attends, or may be a part of one?"""
    return func is F.scaled_dot_product_attention or func is F.multi_head_attention_forward or func in _SOFTMAX


def _product(args: Any, kwargs: dict[str, Any]) -> tuple[torch.Tensor | None, list[Told]]:
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    given = dict(zip(names, args)) | kwargs
    query, key = given["query"], given["key"]
    if query.dim() < 3 or query.shape[-1] != key.shape[-1]:
        return None, []
    scale = given.get("scale") or 1.0 / math.sqrt(query.shape[-1])
    return query, _numbers(query, key, given.get("attn_mask"), bool(given.get("is_causal")), scale)


def _module(args: Any, kwargs: dict[str, Any]) -> tuple[torch.Tensor | None, list[Told]]:
    names = ("query", "key", "value", "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias")
    given = dict(zip(names, args)) | kwargs
    weight, bias = given.get("in_proj_weight"), given.get("in_proj_bias")
    query, key, heads = given["query"], given["key"], given["num_heads"]
    if weight is None or query.dim() != 3:
        return None, []
    width = query.shape[-1]

    def projected(x: torch.Tensor, part: int) -> torch.Tensor:
        rows = slice(part * width, (part + 1) * width)
        out = F.linear(x, weight[rows], None if bias is None else bias[rows])
        # [positions, samples, width] → [samples, heads, positions, units of a head]
        return out.reshape(out.shape[0], out.shape[1], heads, -1).permute(1, 2, 0, 3)

    mask = given.get("attn_mask")
    if isinstance(mask, torch.Tensor):
        # Here True means "not seen".
        mask = ~mask if mask.dtype == torch.bool else mask
        if mask.dim() == 3:
            mask = mask.reshape(-1, heads, *mask.shape[1:])
    q, k = projected(query, 0), projected(key, 1)
    return query, _numbers(q, k, mask, bool(given.get("is_causal")) and mask is None, 1.0 / math.sqrt(q.shape[-1]))


def _softmax(args: Any, kwargs: dict[str, Any]) -> tuple[torch.Tensor | None, list[Told]]:
    logits = args[0]
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    # Weights of queries over keys: at least [samples, queries, keys], normalised over the last axis.
    if logits.dim() != 4 or dim not in (-1, logits.dim() - 1) or logits.shape[-1] < 2:
        return None, []
    return logits, _of_logits(_few(logits, logits[0].numel()).float())


def _few(x: torch.Tensor, per_sample: int) -> torch.Tensor:
    return x.detach()[: max(2, _LOGITS // max(1, per_sample))]


def _numbers(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, is_causal: bool, scale: float
) -> list[Told]:
    queries, keys = query.shape[-2], key.shape[-2]
    per_sample = queries * keys * math.prod(query.shape[1:-2])
    q, k = _few(query, per_sample).float(), _few(key, per_sample).float()
    if q.dim() > 3 and k.shape[1] != q.shape[1]:
        k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
    logits = q @ k.transpose(-1, -2) * scale
    if mask is not None:
        if mask.dim() == logits.dim() and mask.shape[0] not in (1, logits.shape[0]):
            mask = mask[: logits.shape[0]]
        logits = logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask.float()
    if is_causal:
        ahead = torch.ones(queries, keys, dtype=torch.bool, device=logits.device).triu(1)
        logits = logits.masked_fill(ahead, -math.inf)
    return _of_logits(logits)


def _of_logits(logits: torch.Tensor) -> list[Told]:
    # Models mask with −∞ or with a very large negative number.
    seen = torch.isfinite(logits) & (logits > -1e4)
    count = seen.sum(-1)
    if not bool((count > 1).any()):
        return []
    weights = torch.softmax(logits.masked_fill(~seen, -math.inf), -1)
    entropy = torch.special.entr(weights).nan_to_num(0.0).sum(-1) / count.clamp(min=2).log()
    kept = count > 1
    # Per sample first: queries of one sample are not independent.
    sums, counts = (entropy * kept).flatten(1).sum(1), kept.flatten(1).sum(1).clamp(min=1)
    means = sums / counts
    n = means.numel()
    error = float(means.std() / math.sqrt(n)) if n > 1 else None
    largest = float(logits.masked_fill(~seen, 0.0).abs().amax())
    return [("attention_entropy", float(means.mean()), error), ("attention_logit", largest, None)]
