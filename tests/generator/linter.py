"""What Verilator's linter finds in the Verilog of a block."""

from __future__ import annotations

import re
from pathlib import Path

from generator.block import Block
from generator.emission import emit
from toolchain import verilator

#: The rules that exported designs waive too: bits nobody reads, zero-extended operands of an adder.
_WAIVED = re.compile("UNUSEDSIGNAL|WIDTHEXPAND")


def findings(block: Block, folder: Path) -> list[str]:
    """Findings of the linter but for the rules that are waived; ``folder`` takes the files."""
    files, emitted = [], emit(block)
    for name, text in emitted.modules.items():
        files.append(folder / f"{name}.v")
        files[-1].write_text(text)
    return [line for line in verilator.lint(files, emitted.top) if not _WAIVED.search(line)]
