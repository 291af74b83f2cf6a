"""Write the pictures of docs/reports.md, as Chromium shows a report: ``python -m benchmarks.report_picture``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.chromium import Browser
from ternforge.verbs.explore import explore
from ternforge.verbs.report import report

ROOT = Path(__file__).resolve().parent.parent
SPACE = ROOT / "examples" / "ternary_lut" / "space.yaml"
#: Pictures by name: the element at the top of the window, and what is clicked before.
PICTURES = {
    "report_front": ("scatter", "byId('x').value"),
    "report_design": ("design", "change({ a: D.knee, b: D.state.lastIndexOf(1) })"),
}


def main() -> None:
    """Explore the example, write its report, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        study, page = Path(folder) / "study", Path(folder) / "report.html"
        explore(SPACE, study)
        report(study, page)
        with Browser(width=1180, height=1000) as browser:
            browser.open(page)
            for name, (node, action) in PICTURES.items():
                browser.evaluate(action)
                browser.evaluate(f"document.getElementById('{node}').previousElementSibling.scrollIntoView()")
                browser.screenshot(ROOT / "docs" / f"{name}.png")
                print(f"wrote docs/{name}.png")


if __name__ == "__main__":
    main()
