"""Write docs/validation.md: predictions beside synthesis for every technology that comes with the package.

    python -m benchmarks.validation_page [--technology NAME]...

Other technologies keep their sections. Designs are 8 of every family, or, of the technology in which golden designs
are measured anyway, those (`python -m benchmarks.golden`). Some minutes per technology the first time; results are
kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import golden
from blueprint import registry
from costmodel.calibration import measuring, validation
from costmodel.calibration.validation import Validation
from costmodel.technology import technology
from generator.export import write_hardware

PAGE = Path(__file__).resolve().parent.parent / "docs" / "validation.md"
DESIGNS = 8


def validated(name: str) -> Validation:
    """Designs of seed 1, or the golden ones, beside the predictions of a technology."""
    known = technology.load(name)
    if name != golden.MEASURED:
        return validation.validate(
            known, write_hardware, designs=DESIGNS, note=lambda text: print(text, file=sys.stderr)
        )
    samples = []
    for kind in registry.families().values():
        for spec in golden.measured_of(golden.chosen(kind)):
            print(f"measuring {spec.name}", file=sys.stderr)
            samples.append(measuring.measure(spec, known, write_hardware))
    return validation.compare(samples, known, golden.SEED)


def sections(page: str) -> dict[str, str]:
    """The sections of a page by the technology of their headings."""
    return {part.split()[0]: part for part in page.split("\n## ")[1:]}


def main() -> None:
    """Validate, and write the sections of what was validated."""
    options = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    options.add_argument("--technology", action="append", choices=technology.names())
    found = [validated(name) for name in options.parse_args().technology or technology.names()]
    new = validation.page(found)
    parts = {**sections(PAGE.read_text(encoding="utf-8")), **sections(new)}
    texts = [new.split("\n## ")[0].rstrip(), *(parts[name].rstrip() for name in technology.names())]
    PAGE.write_text("\n\n## ".join(texts) + "\n", encoding="utf-8")
    for each in found:
        print(
            f"{each.technology}: area mean {each.mean_error:.1%}, worst {each.worst_error:.1%}, ok {each.ok}"
        )


if __name__ == "__main__":
    main()
