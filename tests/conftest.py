"""What every test may rely on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.skips import pytest_runtest_makereport as pytest_runtest_makereport

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("TERNFORGE_CACHE", str(ROOT / "sim_build" / "cache"))
os.environ.setdefault("TERNFORGE_PDK", str(ROOT.parent / "shared" / "pdk"))
os.environ.setdefault("MPLCONFIGDIR", str(ROOT / "sim_build" / "matplotlib"))
os.environ.setdefault("MPLBACKEND", "Agg")

# A shell ignores Ctrl-C in what it starts in the background; the tests of interruption must work there too.
signal.signal(signal.SIGINT, signal.default_int_handler)
