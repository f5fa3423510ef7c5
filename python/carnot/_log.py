"""What happened to a training, from its log or from numbers in memory."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import _native
from ._ask import texts
from ._error import Error
from ._report import Report


def diagnose(log: Any, runs: str | os.PathLike[str], settings: dict[str, Any]) -> Report:
    given = texts(settings)
    if isinstance(log, (str, os.PathLike)):
        place = os.fspath(log)
        return Report(_native.diagnose(place, os.fspath(runs), place, given))
    rows = _rows(log)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        # The file is gone when the report is read: LOG stands for what was in memory.
        return Report(_native.diagnose(os.fspath(path), os.fspath(runs), "LOG", given))


def _rows(log: Any) -> list[dict[str, Any]]:
    """One mapping for each step: of columns, or as they are."""
    if isinstance(log, Mapping):
        columns = {str(name): [_plain(value) for value in column] for name, column in log.items() if _is_list(column)}
        longest = max((len(column) for column in columns.values()), default=0)
        rows = [{name: column[at] for name, column in columns.items() if at < len(column)} for at in range(longest)]
    elif isinstance(log, Iterable):
        rows = [_row(row) for row in log]
    else:
        rows = []
    if not rows:
        raise Error(
            "python/no-history",
            "there is no history to read",
            f"a {type(log).__name__} holds no steps",
            "a path, a dict of lists such as {'loss': [...]}, or a list of dicts, one for each step",
        )
    return rows


def _row(row: Any) -> dict[str, Any]:
    if isinstance(row, Mapping):
        return {str(name): _plain(value) for name, value in row.items()}
    # A list of numbers is a list of losses.
    return {"loss": _plain(row)}


def _is_list(value: Any) -> bool:
    return hasattr(value, "tolist") or (isinstance(value, Sequence) and not isinstance(value, str))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
