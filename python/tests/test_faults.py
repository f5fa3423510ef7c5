"""Planted faults on real digits: the report names the layer, and says nothing of a control."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from conftest import digits  # noqa: E402
from faults import FAULTS, Fault, row, run  # noqa: E402

import carnot  # noqa: E402

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


class _UnitNorm(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / x.norm(dim=-1, keepdim=True)


def test_a_model_that_embeds_is_not_held_against_labels_it_was_not_trained_for() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = (torch.from_numpy(part) for part in digits())
    body = [part for _ in range(4) for part in (torch.nn.Linear(64, 64), torch.nn.LayerNorm(64), torch.nn.ReLU())]
    model = torch.nn.Sequential(*body, torch.nn.Linear(64, 64), _UnitNorm())
    directions = torch.nn.functional.normalize(torch.randn(64, 10), dim=0)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(150):
        rows = torch.randint(200, len(x), (64,))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(8 * model(x[rows]) @ directions, y[rows]).backward()
        optimizer.step()
    # Labels of another kind, a third of them drawn: a reader is sure of another one for some.
    other = torch.where(torch.rand(200) < 0.33, torch.randint(0, 2, (200,)), (y[:200] >= 5).long())
    report = carnot.check(model, (x[:200], other), trained=True)
    codes = [finding["code"] for finding in report.findings if finding["level"] != "note"]
    assert "T514" not in codes and "S118" not in codes, codes
