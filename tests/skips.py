"""Tests may be skipped for the reasons listed here alone: a skip for another reason is a failure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

#: What a machine, a platform or a version may lack.
ALLOWED = (
    r"SoftFloat has no wheel for this platform",
    r"needs the Liberty files in the folder TERNFORGE_PDK names",
    r"(Icarus Verilog|FuseSoC|OpenSTA) is not installed here",
    r"mounting needs root; the limit on file sizes is tested everywhere",
    r"this system does not let root mount",
    r"no wheel can be built here: setuptools 77 is neither installed nor to be had",
    r"Chromium is not installed here",
    r"not a git checkout",
    r"the extra dask is not installed here",
    r"needs transformers and torch, which CI does not install",
    r"(optuna|pymoo|gymnasium) is not installed here",
    r"(Verilog was|pictures were|cells were) (recorded|counted) with .*, not .*",
)


def unexpected(reason: str) -> bool:
    """True if no test may be skipped for this reason."""
    return not any(re.fullmatch(allowed, reason, re.DOTALL) for allowed in ALLOWED)


def if_written_by_others(record: Mapping[str, Any]) -> None:
    """Skip a test that compares Verilog where other versions than those of the ``record`` write it here."""
    from benchmarks import golden  # pytest loads this file for every test

    here = golden.writers()
    if record["writers"] != here:
        pytest.skip(f"Verilog was recorded with {record['writers']}, not {here}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Turn a skip for a reason that is not allowed into a failure."""
    result: Any = yield
    report = result.get_result()
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if unexpected(reason):
            report.outcome = "failed"
            report.longrepr = f"A skip must have a reason of tests/skips.py, not {reason!r}"
