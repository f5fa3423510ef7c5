"""Planted faults on real digits: the report names the layer, and says nothing of a control."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from faults import FAULTS, Fault, row, run  # noqa: E402

#: The deep transformer takes longest; `python faults.py` shows it.
QUICK = [fault for fault in FAULTS if fault.name != "post-norm at depth 24"]


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_the_layer_is_named(fault: Fault) -> None:
    torch.set_num_threads(1)
    report = run(fault)
    line = row(fault, report)
    serious = [finding for finding in report.findings if finding["level"] != "note"]
    if fault.name.startswith("healthy"):
        assert not serious and report.verdict == "learns", line
        return
    noted = fault.code in ("W213", "W214")
    assert noted or (serious and report.verdict != "learns"), line
    if fault.layer:
        assert any(_is_at(finding["at"], fault.layer) for finding in (serious or report.findings)[:2]), line
    if fault.code:
        at = [finding["at"] for finding in report.findings if finding["code"] == fault.code]
        assert any(_is_at(place, fault.layer or "") for place in at), line


def _is_at(at: str, layer: str) -> bool:
    """A layer, or one under it: `blocks.3.add` is at `blocks.3`, but `6` is not at `60`."""
    return at == layer or at.startswith((layer.rstrip(".") + ".", layer + " "))  or layer == ""
