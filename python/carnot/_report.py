"""The one report that every function returns."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from ._error import Error


class Report:
    """The answer to one question: verdict, findings, numbers per layer, and how they were measured.

    Printed it is the terminal's text, in a notebook the HTML page; :meth:`to_dict` is the JSON of
    ``carnot.report/1``. All are made from one value, so they never disagree.
    """

    def __init__(self, native: _native.Report) -> None:
        self._native = native
        self._data: dict[str, Any] | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Reads a ``report.json``."""
        return cls(_native.Report.from_json(Path(path).read_text(encoding="utf-8")))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, shape ``carnot.report/1``."""
        if self._data is None:
            self._data = json.loads(self._native.json())
        copy: dict[str, Any] = json.loads(json.dumps(self._data))
        return copy

    @property
    def _dict(self) -> dict[str, Any]:
        if self._data is None:
            self._data = json.loads(self._native.json())
        return self._data

    @property
    def verdict(self) -> str | None:
        """``learns``, ``learns-at-a-cost``, ``will-not-learn``, ``cannot-tell``; ``None`` where that was not asked."""
        verdict = self._dict.get("verdict")
        return verdict["word"] if verdict else None

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What is wrong: code, level, layer (``at``), ``saw``, ``because``, ``remedy``; what blocks learning first."""
        order = {"blocks": 0, "costs": 1, "note": 2}
        return sorted(self.to_dict()["findings"], key=lambda finding: order.get(finding["level"], 3))

    @property
    def coverage(self) -> dict[str, Any] | None:
        """How much of the model was read, and why the rest was not."""
        return self.to_dict().get("coverage")

    def text(self, *, width: int = 100, colour: bool = False, all: bool = False) -> str:
        """As a terminal of ``width`` columns shows it; ``all`` findings instead of the first three."""
        return self._native.text(width, colour, True, all)

    def html(self) -> str:
        """One self-contained page that asks no network."""
        return self._native.html()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report; the ending says how: ``.html``, ``.json``, ``.txt``, ``.csv`` (the table), or one picture
        with verdict, findings, stress map and charts as ``.png`` or ``.svg``."""
        path = Path(path)
        makers: dict[str, Callable[[], str | bytes]] = {
            ".html": self.html,
            ".json": self._native.json,
            ".png": self._native.png,
            ".svg": self._native.svg,
            ".txt": self.text,
            ".csv": self._csv,
        }
        make = makers.get(path.suffix.lower())
        if make is None:
            raise Error(
                "report/unknown-ending",
                f'a report cannot be saved as "{path.name}"',
                f"known endings are {', '.join(makers)}",
                f'report.save("{path.stem}.html")',
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        made = make()
        path.write_bytes(made if isinstance(made, bytes) else made.encode())
        return path

    def table(self, source: str | None = None) -> Any:
        """Numbers per layer, one row a layer and step: a pandas ``DataFrame`` where pandas is installed, otherwise a
        dict of NumPy arrays with the same columns.

        Columns are ``source``, ``step``, ``layer`` and for every observable its value and ``<name>_error``; a missing
        number is NaN. ``source`` keeps one of ``theory``, ``measured``, …
        """
        columns = self._columns(source)
        try:
            import pandas  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            return columns
        return pandas.DataFrame(columns)

    def _columns(self, source: str | None) -> dict[str, np.ndarray[Any, Any]]:
        profiles = [profile for profile in self._dict["profiles"] if source in (None, profile["source"])]
        names = sorted({name for profile in profiles for name in profile["columns"]})
        rows: dict[str, list[Any]] = {"source": [], "step": [], "layer": []}
        for name in names:
            rows[name], rows[f"{name}_error"] = [], []
        for profile in profiles:
            n = len(profile["layers"])
            rows["source"] += [profile["source"]] * n
            rows["step"] += [profile["step"]] * n
            rows["layer"] += profile["layers"]
            for name in names:
                column = profile["columns"].get(name, {"value": [None] * n, "error": [None] * n})
                rows[name] += column["value"]
                rows[f"{name}_error"] += column["error"]
        texts = {"source", "layer"}
        kinds = {name: object if name in texts else np.int64 if name == "step" else np.float64 for name in rows}
        return {name: np.array(values, dtype=kinds[name]) for name, values in rows.items()}

    def _csv(self) -> str:
        columns = self._columns(None)
        names = list(columns)
        quoted = [["" if v != v else str(v) for v in columns[name].tolist()] for name in names]
        quoted = [[f'"{v}"' if "," in v or '"' in v else v for v in column] for column in quoted]
        lines = [",".join(names)] + [",".join(row) for row in zip(*quoted)]
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        on_terminal = sys.stdout is not None and sys.stdout.isatty()
        width = shutil.get_terminal_size((100, 24)).columns if on_terminal else 100
        return self.text(width=width).rstrip("\n")

    def _repr_html_(self) -> str:
        # A frame keeps the page's own style away from the notebook's, and its script in its own window.
        page = self.html().replace("&", "&amp;").replace('"', "&quot;")
        return (
            '<iframe title="Carnot report" style="width:100%;height:720px;border:0" '
            f'sandbox="allow-scripts allow-downloads" srcdoc="{page}"></iframe>'
        )
