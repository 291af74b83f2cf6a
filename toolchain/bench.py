"""Build and run cocotb benches on Verilator. Models are cached, runs are limited, and running no test is an error."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO
from xml.etree import ElementTree

import cocotb_tools.config
from cocotb_tools import runner
from cocotb_tools.check_results import get_results

from toolchain import process, verilator

Waves = Literal["", "vcd", "saif"]


@dataclass(frozen=True)
class Results:
    """Number of tests, the failed ones (``name: first line of the message``), the output, and seconds of wall time."""

    tests: int
    failures: tuple[str, ...]
    log: str
    seconds: float


def build(
    files: Sequence[Path],
    top: str,
    visible: Mapping[str, Sequence[str]],
    *,
    waves: Waves = "",
    optimize: str = "-O1",
    arguments: Sequence[str] = (),
) -> Path:
    """Build the simulator of a design for :func:`run`, or take it from the cache; returns its path.

    ``visible`` maps a module to the ports and signals that the bench may access. (cocotb's own runner makes every
    signal public, which triples the time of a build.) ``waves`` is the format that the simulator can record, if any.
    Raises :class:`toolchain.process.ToolError` when Verilator or the compiler fails.
    """
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    return verilator.executable(
        files,
        top,
        {"visible.vlt": _visible(visible), "verilator.cpp": main.read_text()},
        arguments=["--vpi", "--timescale", "1ns/1ps", *([f"--trace-{waves}"] if waves else []), *arguments],
        optimize=optimize,
        libraries=[f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator"],
    )


def run(
    simulator: Path,
    top: str,
    test_module: str,
    *,
    folder: Path,
    python_path: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    seed: int | None = None,
    arguments: Sequence[str] = (),
    timeout_s: float = 600,
) -> Results:
    """Run the cocotb tests of ``test_module`` in ``folder``, which keeps the waves and ``results.xml``.

    ``python_path`` is searched for the module before ``sys.path``. Raises :class:`toolchain.process.ToolError`
    when the simulator crashes, takes longer than ``timeout_s``, or runs no test. Failed tests are in the results.
    """
    bench = _Runner(simulator, python_path, timeout_s)
    xml = folder.resolve() / "results.xml"
    # Under pytest the runner raises SystemExit when a test fails; the results file reports the failure too.
    with suppress(SystemExit):
        bench.test(
            test_module,
            top,
            hdl_toplevel_lang="verilog",
            seed=seed,
            test_args=arguments,
            extra_env=dict(env or {}),
            build_dir=simulator.parent,
            test_dir=folder,
            results_xml=str(xml),
        )
    return _results(xml, bench.finished)


def _results(xml: Path, finished: process.Finished) -> Results:
    if not xml.is_file():
        raise process.ToolError("cocotb", "ended without results", finished.log)
    count, failed = get_results(xml)
    if count == 0:
        raise process.ToolError("cocotb", "ran no test", finished.log)
    failures = tuple(_failures(xml))
    if failed != len(failures):
        raise process.ToolError(
            "cocotb", f"counted {failed} failures but named {len(failures)}", finished.log
        )
    return Results(count, failures, finished.log, finished.seconds)


def _failures(xml: Path) -> list[str]:
    cases = ElementTree.parse(xml).getroot().iter("testcase")
    bad = [(case, case.find(kind)) for case in cases for kind in ("failure", "error")]
    return [f"{case.get('name')}: {_first_line(found)}" for case, found in bad if found is not None]


def _first_line(found: ElementTree.Element) -> str:
    text = found.get("message") or found.get("error_msg") or found.text or ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")


def _visible(signals: Mapping[str, Sequence[str]]) -> str:
    lines = [
        f'public_flat_rw -module "{module}" -var "{name}"'
        for module, names in signals.items()
        for name in names
    ]
    return "\n".join(["`verilator_config", *lines, ""])


class _Runner(runner.Verilator):  # type: ignore[misc]  # cocotb_tools is not followed
    """cocotb's runner for a simulator that is already built, with a time limit."""

    def __init__(self, simulator: Path, python_path: Sequence[Path], timeout_s: float) -> None:
        super().__init__()
        self.simulator = simulator
        self.python_path = python_path
        self.timeout_s = timeout_s
        self.finished = process.Finished("", 0.0)

    def _set_env_test(self) -> None:
        super()._set_env_test()
        added = [str(path.resolve()) for path in self.python_path]
        self.env["PYTHONPATH"] = os.pathsep.join([*added, self.env["PYTHONPATH"]])

    def _test_command(self) -> list[list[str]]:
        return [[str(self.simulator), *self.test_args, *self.plusargs]]

    def _execute_cmds(
        self, cmds: Sequence[list[str]], cwd: runner.PathLike, stdout: TextIO | None = None
    ) -> None:
        for command in cmds:
            self.log.debug("Running %s", shlex.join(command))
            self.finished = process.run(
                command, tool="cocotb", cwd=Path(cwd), env=self.env, timeout_s=self.timeout_s
            )
