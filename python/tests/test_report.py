"""What needs no PyTorch: theory, experiments, reports, errors."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import carnot

FIXTURES = Path(__file__).parents[2] / "crates/carnot/tests/fixtures"


def test_theory_is_asked_in_one_line() -> None:
    report = carnot.predict("784-128x50-10", activation="z * tanh(softplus(z))")
    data = report.to_dict()
    assert data["schema"] == "carnot.report/1" and data["command"] == "predict"
    assert data["criticality"]["c_w"] == pytest.approx(2.01352, rel=1e-4)
    assert "C_W" in repr(report) and report._repr_html_().startswith("<iframe")
    assert not Path("runs").exists()


def test_keywords_are_the_keys_of_the_command_line() -> None:
    report = carnot.ensemble("16-24x2-4", activation="tanh", init="critical", members=20, seed=3, runs="kept")
    assert report.to_dict()["provenance"]["seed"] == 3
    folders = list(Path("kept").iterdir())
    assert len(folders) == 1 and (folders[0] / "report.html").exists()
    again = carnot.ensemble("16-24x2-4", activation="tanh", init="critical", members=20, seed=3, runs="kept")
    assert again.to_dict()["profiles"] == report.to_dict()["profiles"]
    checked = carnot.check("64-128x50-10", "digits", activation="tanh")
    assert checked.verdict == "will-not-learn" and checked.findings[0]["level"] == "blocks"
    kernel = carnot.kernel("64-32x2-10", data="digits", train=60)
    assert kernel.to_dict()["command"] == "kernel"


def test_the_same_bits_for_any_number_of_threads() -> None:
    one, two = (carnot.ensemble("16-24x2-4", members=40, threads=n).to_dict()["profiles"] for n in (1, 2))
    assert one == two


@pytest.mark.parametrize(
    ("settings", "code", "nearest"),
    [
        ({"activaton": "tanh"}, "config/unknown-key", "activation"),
        ({"activation": "tahn"}, "activation/unknown-name", "tanh"),
        ({"c_w": -1}, "config/wrong-value", "c_w"),
        ({"init": "citical"}, "config/wrong-value", "critical"),
    ],
)
def test_errors_have_a_code_a_cause_and_a_remedy(settings: dict[str, object], code: str, nearest: str) -> None:
    with pytest.raises(carnot.Error) as told:
        carnot.predict("784-128x50-10", **settings)
    error = told.value
    assert error.code == code
    assert nearest in error.cause + error.remedy
    assert error.problem and error.problem in str(error) and "--" not in error.remedy


def test_tables_are_frames_or_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    report = carnot.predict("784-128x5-10", activation="tanh")
    monkeypatch.setitem(sys.modules, "pandas", None)
    arrays = report.table()
    assert isinstance(arrays, dict) and arrays["kernel"].dtype == np.float64
    assert len({len(column) for column in arrays.values()}) == 1
    monkeypatch.undo()
    pandas = pytest.importorskip("pandas")
    frame = report.table()
    assert isinstance(frame, pandas.DataFrame) and list(frame.columns) == list(arrays)
    assert set(frame["layer"]) == set(arrays["layer"])


def test_reports_are_saved_by_their_ending() -> None:
    report = carnot.predict("784-128x5-10")
    assert report.save("out/report.html").read_text().startswith("<!doctype html>")
    assert json.loads(report.save("report.json").read_text()) == report.to_dict()
    assert carnot.open("report.json").to_dict() == report.to_dict()
    assert report.save("report.svg").read_text().count("<svg") > 1
    width, height = struct.unpack(">II", report.save("report.png").read_bytes()[16:24])
    assert width > 1000 and height > 600
    assert report.save("table.csv").read_text().startswith("source,step,layer,")
    with pytest.raises(carnot.Error) as told:
        report.save("report.docx")
    assert ".html" in told.value.cause
    Path("other.json").write_text("{}")
    with pytest.raises(carnot.Error):
        carnot.open("other.json")
    Path("other.carnot").write_bytes(b"\x80\x04")
    with pytest.raises(carnot.Error):
        carnot.open("other.carnot")


def test_data_come_as_arrays() -> None:
    x, y = carnot.data("digits")
    assert x.shape == (1797, 64) and x.dtype == np.float32 and set(y.tolist()) == set(range(10))
    assert float(np.mean(x.astype(np.float64) ** 2)) == pytest.approx(1, abs=1e-6)
    with pytest.raises(carnot.Error):
        carnot.data("digts")


def test_without_torch_theory_works_and_the_rest_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import carnot\n"
        "assert carnot.predict('64-32x2-10')\n"
        "try: carnot.watch(None, None)\n"
        "except carnot.Error as error: print(error.code, error.remedy)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout.startswith("python/no-torch pip install"), run.stderr


def test_borders_and_rates_are_asked_with_keywords(tmp_path: Path) -> None:
    given = dict(data="digits", y="width", y_from=8, y_to=32, length=40, budget=4, batch=16, seeds=1, samples=200)
    report = carnot.border("64-8x2-10", runs=tmp_path, **given)
    assert report.to_dict()["command"] == "border" and "border" in str(report)
    # Kept runs are not made again.
    again = carnot.border("64-8x2-10", runs=tmp_path, **given)
    assert again.to_dict()["verdict"] == report.to_dict()["verdict"]
    with pytest.raises(carnot.Error) as told:
        carnot.border("64-8x2-10", data="digits", budgt=4)
    assert "budget" in told.value.cause + told.value.remedy
    with pytest.raises(carnot.Error):
        carnot.transfer("64-8x2-10", data="digits", to_width=-3)


def test_tickets_are_drawn_with_keywords() -> None:
    report = carnot.prune("64-16-10", data="digits", rounds=2, length=60, look=20, controls=1, seeds=2)
    data = report.to_dict()
    assert data["command"] == "prune" and len(data["trainings"]) == 2 * (1 + 2 + 2 * 3)
    with pytest.raises(carnot.Error) as told:
        carnot.prune("64-16-10", data="digits", round=2)
    assert "rounds" in told.value.cause + told.value.remedy


def test_a_log_is_diagnosed_from_a_file_or_from_memory() -> None:
    plateau = carnot.diagnose(FIXTURES / "plateau.csv", labels=FIXTURES / "labels.txt")
    rows = [row.split(",") for row in (FIXTURES / "plateau.csv").read_text().split()]
    columns = {name: [float(row[at]) if row[at] else None for row in rows[1:]] for at, name in enumerate(rows[0])}
    held = carnot.diagnose(columns, labels=FIXTURES / "labels.txt")
    assert held.to_dict()["verdict"] == plateau.to_dict()["verdict"]
    codes = [one["code"] for one in plateau.findings]
    assert "T521" in codes and [one["code"] for one in held.findings] == codes
    falling = carnot.diagnose([2.3 * 0.97**step for step in range(200)], classes=10)
    assert falling.to_dict()["verdict"] != plateau.to_dict()["verdict"]
    for wrong, said in [(7, "no-history"), ({}, "no-history"), ([{"x": "y"}], "")]:
        with pytest.raises(carnot.Error) as told:
            carnot.diagnose(wrong)
        assert said in told.value.code
    blown = carnot.diagnose({"loss": [2.3 * 1.1**step for step in range(40)] + [float("nan")] * 5}, classes=10)
    assert any(one["name"] == "diverged" for one in blown.findings), blown
    assert "carnot diagnose LOG" in json.dumps(blown.to_dict())
    with pytest.raises(carnot.Error) as told:
        carnot.diagnose([2.3] * 40, symbols="words")
    assert "characters" in told.value.remedy
    with pytest.raises(carnot.Error) as told:
        carnot.diagnose([1.0], clases=10)
    assert "classes" in told.value.cause
    for wrong in [{"classes": "ten"}, {"classes": 9.5}, {"clip": "much"}, {"classes": 1}, {"unigram": float("nan")}]:
        with pytest.raises(carnot.Error) as told:
            carnot.diagnose([2.3] * 40, **wrong)
        assert next(iter(wrong)) in told.value.problem
    with pytest.raises(carnot.Error):
        carnot.diagnose(FIXTURES / "nowhere.csv")


def test_a_phase_diagram_is_asked_with_keywords() -> None:
    report = carnot.phase(noises=[0, 0.3], slopes=[0, 1], depth=4, width=16, train=300, epochs=5, chains=4)
    data = report.to_dict()
    assert data["command"] == "phase" and len(data["convexity"]) == 2
    with pytest.raises(carnot.Error) as told:
        carnot.phase(noise="droput")
    assert "dropout" in told.value.cause + told.value.remedy
