"""A test that is skipped for an unexpected reason fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import unexpected
from tests.test_house import ROOT

TESTS = """
import pytest

def test_in_the_test():
    pytest.skip({reason!r})

@pytest.mark.skipif(True, reason={reason!r})
def test_by_a_mark():
    pass

@pytest.mark.xfail
def test_that_is_expected_to_fail():
    assert False
"""


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("not a git checkout", "2 skipped, 1 xfailed"), ("slow today", "1 failed, 1 xfailed, 1 error")],
)
def test_a_skip_needs_an_allowed_reason(reason: str, outcome: str, tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS.format(reason=reason))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.skips",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert outcome in done.stdout
    said = f"A skip must have a reason of tests/skips.py, not {reason!r}"
    assert (said in done.stdout) == ("1 failed" in outcome)


@pytest.mark.parametrize("reason", ["", "not a git checkout today", "Icarus is not installed here"])
def test_reasons_are_compared_whole(reason: str) -> None:
    assert unexpected(reason)
