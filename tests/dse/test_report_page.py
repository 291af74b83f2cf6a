"""What the page of a study carries: every number is the study's, and nothing in it can run or load."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dse import embedded, report
from dse.explore import problem_of, run
from dse.page import source
from dse.space_file import read_space
from dse.study import Study
from tests.dse import toy
from tests.dse.recorded import PICTURES, TWO
from tests.dse.toy import changed

REAL = """\
schema: ternforge/space/v1
name: both
family: [ternary_lut, systolic]
parameters:
  act_width: 8
  k_max: 256
  n_max: 256
  ternary_lut: {mu: [1, 2, 3], lut_count: [2, 4], fetch_count: 4}
  systolic:
    {organization: [weight_stationary, cube], pe: ternary, rows: [2, 4], cols: 4, dot_length: 2, weight_width: 2}
workload: {model: tiny, phase: decode, context: 20}
technology: asap7
clock_mhz: [200, 600, 900]
dram: {bandwidth_gb_s: 12.8, energy_pj_per_bit: 2, source: made up}
objectives: {area_um2: min, ternary_tokens_per_second: max, ternary_energy_pj_per_token: min}
constraints: {area_um2: {max: 9000}}
"""


class Page(HTMLParser):
    """Elements of a page with their attributes, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    folder = tmp_path_factory.mktemp("real")
    (folder / "space.yaml").write_text(REAL)
    with run(problem_of(read_space(folder / "space.yaml")), folder / "study") as study:
        yield study


def test_every_number_is_the_studys(real: Study) -> None:
    data = Page(report.html(real)).data
    rows = {row["id"]: row for batch in real.batches() for row in real.rows(batch)}
    front = {row["id"] for row in real.rows(real.front)}
    assert 20 < len(data["ids"]) == len(set(data["ids"])) == real.built
    for place, name in enumerate(data["ids"]):
        row = rows[name]
        assert data["groups"][data["of_group"][place]] == row["family"]
        standing = 2 if not row["feasible"] else 1 if name in front else 0
        assert data["state"][place] == standing and data["reason"][place] == row["reason"]
        for metric in data["metrics"]:
            assert metric["values"][place] == row[metric["name"]], (name, metric["name"])
        for parameter in data["parameters"]:
            if parameter["name"] == "clock_mhz":
                assert parameter["values"][parameter["codes"][place]] == row["clock_mhz"]
            elif "codes" in parameter:
                code = parameter["codes"][place]
                assert (None if code < 0 else parameter["values"][code]) == row[parameter["name"]]
            elif parameter["name"] in data["of_family"][row["family"]]:
                assert parameter["values"] == [row[parameter["name"]]]
    assert data["ids"][data["knee"]] == real.knee
    assert {reason["text"]: reason["count"] for reason in data["reasons"]} == real.infeasible
    assert data["counts"]["front"] == data["counts"]["front_shown"] == len(real.front) > 2
    assert data["bandwidth"] == 12.8e9


def at(column: Any, row: int) -> float:
    return float(column[row] if isinstance(column, list) else column)


def test_breakdowns_of_every_design_add_up_at_its_clock(real: Study) -> None:
    data = embedded.of_study(real)
    metrics = {metric["name"]: metric["values"] for metric in data["metrics"]}
    seen = []
    for family in data["breakdowns"]:
        for row, place in enumerate(family["rows"]):
            seen.append(place)
            area, energy = (sum(at(c, row) for c in family[key].values()) for key in ("areas", "energies"))
            parts = family["parts"].values()
            seconds = sum(max(at(part["compute"], row), at(part["memory"], row)) for part in parts)
            assert area == pytest.approx(metrics["area_um2"][place], rel=1e-4)
            assert energy == pytest.approx(metrics["ternary_energy_pj_per_token"][place], rel=1e-4)
            assert 1 / seconds == pytest.approx(metrics["ternary_tokens_per_second"][place], rel=1e-4)
    assert sorted(seen) == list(range(len(data["ids"])))


def test_a_clock_asked_for_is_a_parameter_of_its_own(real: Study) -> None:
    data = embedded.of_study(real)
    assert {"family", "clock_mhz"} <= set(data["importance"]["metrics"]["area_um2"]["main"])
    shares = data["importance"]["metrics"]["clock_mhz"]["main"]
    assert shares["clock_mhz"] == pytest.approx(1) and shares["mu"] == pytest.approx(0, abs=0.01)
    assert all("clock_mhz" in names for names in data["of_family"].values())


STUDIES = {
    **PICTURES,
    "empty": changed(("max: 500", "max: 0.5")),
    "nothing built": changed(("{log2: [1, 4096]}", "4096"), ("{range: [1, 32]}", "{range: [2, 32]}")),
    "one design": changed(
        ("{range: [1, 32]}", "4"), ("{log2: [1, 4096]}", "4"), ("[small, fast]", "small"), ("[false, true]", "false")
    ),
    "constant": changed(("{range: [1, 32]}", "4"), ("{area_um2: min, tokens_per_second: max}", "{flip_flops: min}")),
    "searched": changed(("auto, budget: 100000", "nsga2, budget: 300")),
}  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
def test_any_study_has_a_page_that_loads_nothing(name: str, tmp_path: Path) -> None:
    with run(toy.problem(STUDIES[name]), tmp_path) as study:
        page = Page(report.html(study))
        assert len(page.data["ids"]) == min(study.built, len(page.data["ids"]))
        assert page.data["breakdowns"] == []  # toys have no technology
        assert (page.data["history"] is None) == (len(study.front) == 0)
        assert page.data["counts"]["evaluated"] == study.evaluated
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form"), tag
        assert "src" not in attributes or str(attributes["src"]).startswith("data:image/png;base64,")
        assert "href" not in attributes and not any(key.startswith("on") for key in attributes)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {"scatter", "parallel", "rows", "design", "pair", "roofline", "importance", "history"} <= set(ids)


def test_only_our_script_may_run(real: Study) -> None:
    page = Page(report.html(real))
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and len(page.scripts) == 2
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
    }
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
        "http:",
    ):
        assert word not in page.scripts[1].replace("http://www.w3.org/2000/svg", ""), word


def test_markup_in_data_stays_text() -> None:
    bad = "</script><script>alert(1)</script><!-- & \u2028"
    text = embedded.text({"reasons": [bad]})
    assert not set("<>&\u2028") & set(text) and json.loads(text) == {"reasons": [bad]}
    assert Page(f'<script type="application/json">{text}</script>').data["reasons"] == [bad]


def test_a_large_study_is_sampled_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MOST_SHOWN", 100)
    monkeypatch.setattr(embedded, "MOST_FRONT", 20)
    monkeypatch.setattr(embedded, "MOST_EXCLUDED", 10)
    monkeypatch.setattr(embedded, "MOST_ANALYZED", 200)
    with run(toy.problem(), tmp_path) as study:
        text = report.html(study)
        data, front = Page(text).data, {row["id"] for row in study.rows(study.front)}
        knee = study.knee
    assert len(front) > 20 and knee is not None
    chosen = {name for name, state in zip(data["ids"], data["state"], strict=True) if state == embedded.FRONT}
    assert chosen < front and 19 <= len(chosen) <= 20 and knee in chosen
    assert len(data["ids"]) <= 110 and data["state"].count(embedded.EXCLUDED) <= 10
    assert front.isdisjoint(set(data["ids"]) - chosen)
    plain = " ".join(re.sub(r"<[^>]*>", "", text).split())
    assert f"This page has {len(chosen)} of the {len(front)} designs on the front" in plain
    assert "a sample, always the same one" in plain and "(a sample) of the" in plain


def test_a_spread_of_a_front_has_both_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MOST_FRONT", 10)
    with run(toy.problem(), tmp_path) as study:
        few, front = embedded.thinned(study), study.front
    areas = front.column("area_um2")
    assert len(few) <= 10 and {areas.min(), areas.max()} <= set(few.column("area_um2").tolist())


@pytest.mark.parametrize("text", [TWO, toy.TEXT])
def test_importance_of_families(text: str, tmp_path: Path) -> None:
    with run(toy.problem(text), tmp_path) as study:
        found = embedded.importances(study)
    assert found["designs"] == found["built"] == study.built
    assert ("family" in found["metrics"]["area_um2"]["main"]) == (text is TWO)
    assert found["metrics"]["flip_flops"]["main"]["width"] > 0.9


def test_numbers_keep_their_last_digit() -> None:
    values = np.array([1.0, 0.1 + 0.2, 1e300, np.nan, 12345678.9])
    assert embedded.numbers(values) == [1, 0.1 + 0.2, 1e300, None, 12345678.9]


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_text_can_be_read_in_both_themes(theme: str) -> None:
    """Contrast as WCAG 2 level AA asks for it: 4.5 for text, 3 for lines of pictures."""
    block = source("page.css").split(theme, 1)[1].split("}", 1)[0]
    colors = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
    for ink in ("text", "quiet"):
        for ground in ("ground", "panel"):
            assert contrast(colors[ink], colors[ground]) >= 4.5, (ink, ground)
    assert contrast(colors["text"], colors["select"]) >= 4.5
    for ink in ("accent", "knee", "a", "b", "dot"):
        assert contrast(colors[ink], colors["ground"]) >= 3, ink
