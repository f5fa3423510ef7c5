"""The untrained model, kept until there is time to read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

#: Bytes of parameters and buffers that are kept at most; larger models are read at once.
_MOST = 1 << 28


class Start:
    """Parameters and buffers as they were when the watch was made."""

    def __init__(self, model: nn.Module) -> None:
        with torch.no_grad():
            self._parameters = [(p, p.detach().clone()) for p in model.parameters()]
            self._buffers = [
                (module, name, buffer.detach().clone())
                for module in model.modules()
                for name, buffer in module._buffers.items()
                if buffer is not None
            ]

    @staticmethod
    def fits(model: nn.Module) -> bool:
        """Is the model small enough to be kept, and made of plain parameters only?"""
        parameters = list(model.parameters())
        tensors = [*parameters, *model.buffers()]
        if any(type(p) is not nn.Parameter for p in parameters) or any(t.is_meta or t.is_sparse for t in tensors):
            return False
        return sum(t.numel() * t.element_size() for t in tensors) <= _MOST

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """Inside, the model is the one of the start; afterwards every tensor has the memory that it had, untouched."""
        now = [(parameter, parameter.data) for parameter, _ in self._parameters]
        buffers = [(module, name, module._buffers.get(name)) for module, name, _ in self._buffers]
        try:
            for parameter, start in self._parameters:
                parameter.data = start.to(parameter.device, parameter.dtype)
            for module, name, start in self._buffers:
                current = module._buffers.get(name)
                if current is not None:
                    module._buffers[name] = start.to(current.device, current.dtype)
            yield
        finally:
            for parameter, data in now:
                parameter.data = data
            for module, name, buffer in buffers:
                module._buffers[name] = buffer
