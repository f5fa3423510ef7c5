"""Every Python snippet of README and book runs, page by page, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT

torch = pytest.importorskip("torch")

PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "book/src").rglob("*.md"))]]


def snippets(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page)], ids=lambda page: page.name)
def test_snippets_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    names = {"model": model, "x": torch.randn(40, 64), "y": torch.arange(40) % 10}
    for snippet in snippets(page):
        exec(compile(snippet, str(page), "exec"), names)
    assert capsys.readouterr().out


def test_the_page_has_snippets() -> None:
    assert len(snippets(ROOT / "book/src/pytorch.md")) > 5
