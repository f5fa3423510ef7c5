"""The experiments of the lab: every key of the command line is a keyword."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from . import _native
from ._report import Report


def ask(
    word: str,
    network: str | os.PathLike[str] | None,
    settings: dict[str, Any],
    *,
    runs: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    fresh: bool = False,
) -> Report:
    """Answers ``word`` about ``network``; unknown or wrong keywords raise :class:`carnot.Error` with the nearest one."""
    given = texts(settings)
    place = None if network is None else os.fspath(network)
    kept = None if runs is None else os.fspath(runs)
    return Report(_native.ask(word, place, given, kept, threads, fresh))


def texts(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Keywords as they are typed after flags; those that are ``None`` are left out."""
    return [(key, _text(value)) for key, value in settings.items() if value is not None]


def _text(value: Any) -> str:
    """A keyword's value as it is typed after a flag."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if hasattr(value, "tolist"):
        # Of NumPy's numbers only the number: their representation names its type.
        return _text(value.tolist())
    if isinstance(value, Sequence):
        return ",".join(_text(item) for item in value)
    return repr(value)
