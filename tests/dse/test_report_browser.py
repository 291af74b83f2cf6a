"""The page of a study in a browser without a window and without a network: clicks, keys, brushes and themes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chromium import Browser, found
from dse import embedded, report
from dse.explore import problem_of, run
from dse.space_file import read_space
from tests.dse import toy
from tests.dse.test_report_page import REAL, STUDIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="Chromium is not installed here"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "space.yaml").write_text(REAL)
    with run(problem_of(read_space(folder / "space.yaml")), folder / "study") as study:
        return report.write(study, folder / "report.html")


@pytest.fixture
def opened(browser: Browser, page: Path) -> Iterator[Browser]:
    browser.requests.clear()
    browser.open(page)
    yield browser
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []


def place(browser: Browser, node: str) -> dict[str, float]:
    """Where an element is in the window, scrolled into it."""
    code = f"document.getElementById('{node}')"
    browser.evaluate(f"{code}.scrollIntoView()")
    box: dict[str, float] = browser.evaluate(f"{code}.getBoundingClientRect().toJSON()")
    return box


def press(browser: Browser, selector: str) -> None:
    browser.evaluate(f"document.querySelector({selector!r}).click()")


def choose(browser: Browser, node: str, value: Any) -> None:
    browser.evaluate(
        f"(() => {{ const n = document.getElementById('{node}'); n.value = '{value}'; "
        "n.dispatchEvent(new Event('change')); })()"
    )


def text(browser: Browser, node: str) -> str:
    return str(browser.evaluate(f"document.getElementById('{node}').innerText"))


def inked(browser: Browser, node: str) -> int:
    """A number for what a canvas shows."""
    return int(
        browser.evaluate(
            f"(() => {{ const n = document.getElementById('{node}');"
            "const bytes = n.getContext('2d').getImageData(0, 0, n.width, n.height).data;"
            "return bytes.reduce((sum, byte) => (sum * 31 + byte) % 2147483647, 0); })()"
        )
    )


def test_a_click_on_a_dot_shows_that_design_and_its_parts(opened: Browser) -> None:
    other = opened.evaluate("kept.find((row) => D.state[row] === 1 && row !== D.knee)")
    name = opened.evaluate(f"D.ids[{other}]")
    box = place(opened, "scatter")
    spot = opened.evaluate(
        "(() => { const at = (m, row) => scaled(limits(m, kept), factored(m, row)), [mx, my] = D.metrics;"
        f"return [78 + at(mx, {other}) * (byId('scatter').clientWidth - 98), 474 - at(my, {other}) * 458]; }})()"
    )
    opened.click(box["left"] + spot[0], box["top"] + spot[1])
    shown = text(opened, "design")
    assert shown.startswith(f"{name} (") and "on the front" in shown
    assert [part in shown for part in ("Area: ", "Energy: ", "Time: ")] == [True] * 3
    assert f"{name}: peak" in text(opened, "roofline")


def test_a_brush_filters_table_and_picture(opened: Browser) -> None:
    before, drawn = text(opened, "kept"), inked(opened, "scatter")
    place_ = place(opened, "parallel")
    goal = opened.evaluate("AXES.findIndex((axis) => axis.name === 'area_um2')")
    across = opened.evaluate(f"60 + {goal} / (AXES.length - 1) * (byId('parallel').clientWidth - 120)")
    x, bottom = place_["left"] + across, place_["top"] + 340 - 26
    opened.click(x, bottom + 6, to=(x, bottom - 100))
    low, high = opened.evaluate("state.ranges.get('area_um2')")
    assert text(opened, "kept") != before and inked(opened, "scatter") != drawn
    rows = opened.evaluate("kept.map((row) => factored(D.metrics[0], row))")
    assert 0 < len(rows) < opened.evaluate("COUNT") and all(low <= area <= high for area in rows)
    listed = opened.evaluate("document.querySelectorAll('#rows tbody tr').length")
    assert listed == min(100, len(rows))
    opened.click(x, bottom - 50)  # a click on the axis takes the brush away
    assert text(opened, "kept") == before and inked(opened, "scatter") == drawn


def test_ends_can_be_set_by_keyboard(opened: Browser) -> None:
    choose(opened, "from-clock_mhz", 1)
    choose(opened, "to-clock_mhz", 1)
    column = "D.metrics.find((m) => m.name === 'clock_mhz').values"
    clocks = opened.evaluate(f"[...new Set(kept.map((row) => {column}[row]))]")
    assert clocks == [600]
    press(opened, "#clear")
    assert opened.evaluate("state.ranges.size") == 0


def test_arrow_keys_go_along_the_front(opened: Browser) -> None:
    opened.evaluate("byId('scatter').focus()")
    seen = []
    for _ in range(3):
        opened.key("ArrowRight")
        seen.append(opened.evaluate("state.selected"))
    assert len(set(seen)) == 3 and opened.evaluate(f"{seen}.every((row) => D.state[row] === 1)")
    areas = [opened.evaluate(f"D.metrics[0].values[{row}]") for row in seen]
    assert areas == sorted(areas) or opened.evaluate("D.knee") is not None


def test_three_objectives_turn_by_a_drag(opened: Browser) -> None:
    choose(opened, "z", 2)
    before, box = inked(opened, "scatter"), place(opened, "scatter")
    x, y = box["left"] + 400, box["top"] + 200
    opened.click(x, y, to=(x + 120, y + 30))
    assert inked(opened, "scatter") != before
    assert opened.evaluate("state.yaw") == pytest.approx(0.6 + 120 / 150)
    opened.evaluate("byId('scatter').focus()")
    opened.key("ArrowLeft")
    assert opened.evaluate("state.yaw") == pytest.approx(0.6 + 120 / 150 - 0.15)


def test_two_designs_stand_side_by_side(opened: Browser) -> None:
    press(opened, "#rows tbody tr:nth-child(1) button")
    press(opened, "#pin-a")
    assert "Now name the other one B." in text(opened, "pair")
    press(opened, "#rows thead th:nth-child(3) button")  # by area, the largest first
    press(opened, "#rows thead th:nth-child(3) button")
    press(opened, "#rows tbody tr:nth-child(1) button")
    press(opened, "#pin-b")
    cells = opened.evaluate(
        "[...document.querySelectorAll('#compared tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    ids = opened.evaluate("[D.ids[state.a], D.ids[state.b]]")
    assert cells[0][1:3] == [f"A {ids[0]}", f"B {ids[1]}"]
    area = next(row for row in cells if row[0].startswith("area"))
    one, other = opened.evaluate("[D.metrics[0].values[state.a], D.metrics[0].values[state.b]]")
    assert other > one and area[3] == f"{100 * (other / one - 1):+.1f} %"
    assert text(opened, "pair").count("Energy: ") == 2


def test_reasons_show_their_designs(opened: Browser) -> None:
    press(opened, "#reasons button:not([disabled])")
    reason = opened.evaluate("state.reason")
    assert reason and opened.evaluate(
        "kept.length > 0 && kept.every((row) => D.reason[row] === state.reason)"
    )
    assert opened.evaluate("byId('excluded').checked")
    assert opened.evaluate("document.querySelectorAll('#reasons button[aria-pressed=true]').length") == 1


def test_importance_follows_its_metric(opened: Browser) -> None:
    before = text(opened, "importance")
    choose(opened, "importance-of", "clock_mhz")
    after = text(opened, "importance")
    assert after != before and after.splitlines()[1].startswith("clock_mhz\t100.0 %")


def test_table_is_sorted_by_a_click_on_its_head(opened: Browser) -> None:
    for way in ("ascending", "descending"):
        press(opened, "#rows thead th:nth-child(3) button")
        heads = opened.evaluate("[...document.querySelectorAll('#rows thead th')].map((h) => h.ariaSort)")
        assert heads[2] == way and heads.count("none") == len(heads) - 1


def test_the_theme_changes_paper_and_ink(opened: Browser) -> None:
    look = "getComputedStyle(document.body).backgroundColor"
    before, ink = opened.evaluate(look), inked(opened, "scatter")
    press(opened, "#theme")
    assert opened.evaluate(look) != before and inked(opened, "scatter") != ink


def test_every_control_has_a_name(opened: Browser) -> None:
    unnamed = opened.evaluate(
        "[...document.querySelectorAll('button, select, input, canvas')].filter((n) => "
        "!(n.textContent.trim() && n.tagName === 'BUTTON') && !n.labels?.length && !n.getAttribute('aria-label'))"
        ".map((n) => n.outerHTML)"
    )
    assert unnamed == []


def test_markup_in_names_does_not_run(browser: Browser, tmp_path: Path) -> None:
    bad = "x</script><img src=x onerror=window.ran=1><script>window.ran=1</script>"
    with run(toy.problem(), tmp_path) as study:
        whole, data = report.html(study), embedded.of_study(study)
    plain = embedded.text(data)
    assert plain in whole
    hostile = {**data, "groups": [bad], "of_family": {bad: data["of_family"]["toy"]}}
    hostile["parameters"][0]["name"] = hostile["of_family"][bad][0] = bad
    hostile["reasons"][0]["text"] = bad
    hostile["importance"]["metrics"]["area_um2"]["main"][bad] = 0.5
    hostile["importance"]["metrics"]["area_um2"]["total"][bad] = 0.5
    path = tmp_path / "page.html"
    path.write_text(whole.replace(plain, embedded.text(hostile)))
    browser.open(path)
    assert browser.evaluate("window.ran === undefined") and browser.problems == []
    assert "<img src=x onerror" in browser.evaluate("document.body.innerText")


def test_a_script_that_is_not_ours_is_refused(browser: Browser, page: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page.read_text().replace("<h1>", "<script>window.ran = 1</script><h1>"))
    try:
        browser.call("Page.navigate", url=path.as_uri())
        for _ in range(50):
            if browser.evaluate("document.documentElement?.dataset.ready || ''") == "yes":
                break
        assert browser.evaluate("window.ran === undefined")
        assert any("Content Security Policy" in problem for problem in browser.problems)
    finally:
        browser.problems.clear()


@pytest.mark.parametrize("name", STUDIES)
def test_any_study_draws_itself(name: str, browser: Browser, tmp_path: Path) -> None:
    with run(toy.problem(STUDIES[name]), tmp_path) as study:
        path = report.write(study, tmp_path / "report.html")
        some = study.built > 0
    browser.open(path)
    assert browser.problems == []
    assert (browser.evaluate("document.querySelectorAll('#rows tbody tr').length") > 0) == (
        some and "empty" not in name
    )
    if some:
        browser.evaluate(
            "change({ excluded: true, selected: 0, a: 0, b: COUNT - 1, z: D.metrics.length - 1 })"
        )
        assert browser.problems == [] and text(browser, "pair")
        assert "NaN" not in browser.evaluate("document.body.innerText")
