"""What the tests share: real digits, small models, and the bits of a model's state."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "crates/carnot-net/src/dataset/digits.bin"


def digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """1,797 real digits: standardised pixels ``[1797, 64]`` and labels."""
    raw = np.frombuffer(gzip.decompress(DIGITS.read_bytes()), dtype=np.uint8)
    pixels = raw[: 1797 * 64].reshape(1797, 64).astype(np.float32) / 16
    order = np.random.default_rng(0).permutation(1797)
    return ((pixels - pixels.mean()) / pixels.std())[order], raw[1797 * 64 :].astype(np.int64)[order]


@pytest.fixture(scope="session")
def data() -> Any:
    """The digits as tensors."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    x, y = digits()
    return torch.from_numpy(x), torch.from_numpy(y)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings and runs of a test stay in its own folder."""
    monkeypatch.chdir(tmp_path)
    random.seed(0)
    np.random.seed(0)
