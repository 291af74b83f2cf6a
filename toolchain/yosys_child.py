"""Child process that runs one Yosys script; an ERROR in Yosys ends its process."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the script file named by the first argument."""
    from pyosys import libyosys

    libyosys.run_pass(f"script {sys.argv[1]}")


if __name__ == "__main__":
    main()
