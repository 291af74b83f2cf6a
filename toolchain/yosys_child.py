"""Child process that runs one Yosys script, because an ERROR in Yosys ends the process it runs in."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the script file named by the first argument."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from pyosys import libyosys

    from toolchain.process import end_with_parent

    end_with_parent()  # otherwise Yosys would go on running after its parent was killed
    libyosys.run_pass(f"script {sys.argv[1]}")


if __name__ == "__main__":
    main()
