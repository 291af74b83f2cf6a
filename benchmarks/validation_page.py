"""Write docs/validation.md: predictions beside synthesis for every technology that comes with the package.

Takes some minutes per technology the first time; synthesis results are kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from costmodel.calibration import validation
from costmodel.technology import technology
from generator.export import write_hardware


def main() -> None:
    """Validate with 12 designs of seed 1, four of every arithmetic, and write the page."""
    pages = [
        validation.validate(
            technology.load(name), write_hardware, designs=12, note=lambda text: print(text, file=sys.stderr)
        )
        for name in technology.names()
    ]
    Path(__file__).resolve().parent.parent.joinpath("docs", "validation.md").write_text(
        validation.page(pages)
    )
    for found in pages:
        print(
            f"{found.technology}: area mean {found.mean_error:.1%}, worst {found.worst_error:.1%}, ok {found.ok}"
        )


if __name__ == "__main__":
    main()
