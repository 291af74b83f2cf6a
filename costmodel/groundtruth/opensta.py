"""The slowest path by OpenSTA, if installed: an independent check of static timing."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from costmodel.groundtruth import netlist_files
from costmodel.groundtruth.synthesis import Mapped
from toolchain import process

_SCRIPT = """foreach file {{{libraries}}} {{ read_liberty $file }}
read_verilog {netlist}
link_design {top}
read_sdc {constraints}
report_checks -path_delay max -format full -digits 4
exit
"""
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Opinion:
    """The slowest path in ps, and OpenSTA's report of it."""

    critical_path_ps: float
    report: str


def installed() -> str | None:
    """Path of OpenSTA; None where it is not installed."""
    return shutil.which("sta")


def analyze(found: Mapped, folder: Path) -> Opinion:
    """Write a mapped design to `folder` and have OpenSTA time it.

    `ToolError` where OpenSTA fails, `RuntimeError` where it is not there, cannot read all or reports no path.
    """
    tool = installed()
    if tool is None:
        raise RuntimeError("OpenSTA must be installed as sta")
    netlist, library, constraints = netlist_files.write(found, folder / f"{found.top}.v")
    script = folder / "sta.tcl"
    script.write_text(
        _SCRIPT.format(libraries=library, netlist=netlist, top=found.top, constraints=constraints)
    )
    command = [tool, "-no_init", "-no_splash", "-exit", str(script)]
    report = process.run(command, tool="OpenSTA", cwd=folder, timeout_s=_TIMEOUT_S).log
    fault = re.search(r"^.*(?:\bError:|black box).*$", report, re.MULTILINE)
    if fault is not None:
        raise RuntimeError(f"OpenSTA must read the whole netlist, not say: {fault[0].strip()}")
    slack = re.search(r"^\s*(-?[0-9.]+)\s+slack", report, re.MULTILINE)
    if slack is None:
        raise RuntimeError(f"OpenSTA must report a path, not: {report.strip()[-300:]}")
    period = found.period_ps or found.timing.critical_path_ps
    return Opinion(period - float(slack[1]), report)
