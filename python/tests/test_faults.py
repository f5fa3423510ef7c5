"""Planted faults on real digits: the report names the layer, and says nothing of a control."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from faults import FAULTS, Fault, row, run  # noqa: E402

#: The deep transformer takes as long as all others together; `python faults.py` shows it.
QUICK = [fault for fault in FAULTS if "post-norm" not in fault.name]


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_the_layer_is_named(fault: Fault) -> None:
    torch.set_num_threads(1)
    report = run(fault)
    line = row(fault, report)
    serious = [finding for finding in report.findings if finding["level"] != "note"]
    if fault.name.startswith("healthy"):
        assert not serious and report.verdict == "learns", line
        return
    assert serious and report.verdict != "learns", line
    if fault.layer:
        assert fault.layer in {finding["at"] for finding in serious[:2]}, line
