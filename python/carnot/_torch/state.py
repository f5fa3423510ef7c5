"""Leave everything exactly as it was found."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from . import model as tree

#: Seed of the probe's own random numbers, so that two readings of the same weights are the same.
SEED = 0


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Inside: eval mode, gradients on, a fixed seed, no compilation. Afterwards train/eval mode of every module, buffers,
    random states (Python, NumPy, PyTorch on CPU and CUDA), gradient mode and autocast are bit for bit as before."""
    with ExitStack() as stack:
        stack.enter_context(_modes(model))
        stack.enter_context(_buffers(model))
        stack.enter_context(_random(tree.device_of(model)))
        stack.enter_context(_no_fast_path())
        stack.enter_context(_no_autocast_cache(tree.device_of(model).type))
        # Compiled parts run as written: hooks see every module, and nothing is compiled again afterwards.
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            # Where the compiler was never loaded there is nothing compiled, and loading it takes seconds.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(torch.enable_grad())
        yield


@contextmanager
def _modes(model: nn.Module) -> Iterator[None]:
    # The attribute and not eval(): a module's own train() may do more than set it.
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _buffers(model: nn.Module) -> Iterator[None]:
    """Buffers keep their objects and their values, also where a module counts or averages in eval mode."""
    kept: list[tuple[nn.Module, str, torch.Tensor | None, torch.Tensor | None, int]] = []
    for module in model.modules():
        for name, buffer in module._buffers.items():
            copy = None if buffer is None else buffer.detach().clone()
            kept.append((module, name, buffer, copy, 0 if buffer is None else buffer._version))
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, copy, version in kept:
                if module._buffers.get(name) is not buffer:
                    module._buffers[name] = buffer
                if buffer is not None and copy is not None and buffer._version != version:
                    buffer.copy_(copy)


@contextmanager
def _random(device: torch.device) -> Iterator[None]:
    numpy = _numpy_random()
    kept_python = random.getstate()
    kept_numpy = None if numpy is None else numpy.get_state()
    kept = torch.default_generator.get_state()
    kept_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    try:
        # Not torch.manual_seed: it would also seed devices that nobody has touched yet.
        torch.default_generator.manual_seed(SEED)
        if kept_device is not None:
            index = torch.cuda.current_device() if device.index is None else device.index
            torch.cuda.default_generators[index].manual_seed(SEED)
        yield
    finally:
        torch.default_generator.set_state(kept)
        if kept_device is not None:
            torch.cuda.set_rng_state(kept_device, device)
        random.setstate(kept_python)
        if numpy is not None:
            numpy.set_state(kept_numpy)


def _numpy_random() -> Any:
    import numpy

    return numpy.random


@contextmanager
def _no_fast_path() -> Iterator[None]:
    """The fused encoder of eval mode calls no submodule."""
    mha = torch.backends.mha
    kept = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(kept)


@contextmanager
def _no_autocast_cache(device: str) -> Iterator[None]:
    """Inside the user's autocast its cache of converted weights belongs to the training's graph."""
    if not torch.is_autocast_enabled(device):
        yield
        return
    kept = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(kept)
