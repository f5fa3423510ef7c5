"""What theory expects of a transformer of PyTorch, beside the model itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from .. import _native
from .._ask import texts
from .._report import Report
from . import model as tree
from .structure import structure


def predict(model: nn.Module, batch: Any, settings: dict[str, Any]) -> Report:
    """See :func:`carnot.predict`."""
    name = type(tree.unwrap(model)).__name__
    found = structure(model, batch)
    given = {"token_match": f"{found.matches:.6g}"} | settings
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.toml"
        path.write_text(found.toml, encoding="utf-8")
        return Report(_native.predict_model(name, str(path), texts(given), found.cosines, found.notes))
