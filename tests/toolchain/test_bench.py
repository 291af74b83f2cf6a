"""cocotb benches: what passes, what fails, and that nothing passes by not running."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import bench, process

COUNTER = """\
module bench_counter(input clk, input clear, output [7:0] total);
  reg [7:0] count = 0, hidden = 0;
  always @(posedge clk) begin
    count <= clear ? 8'd0 : count + 8'd1;
    hidden <= count;
  end
  assign total = count;
endmodule
"""
HEAD = """\
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer

"""
COUNTS = """\
@cocotb.test()
async def counts(dut):
    dut.clear.value = 0
    Clock(dut.clk, 10, "ns").start()
    await ClockCycles(dut.clk, 11)
    assert int(dut.total.value) == {wanted}, "wrong count"
"""
PASSES = '@cocotb.test()\nasync def passes(dut):\n    await Timer(1, "ns")\n'


@pytest.fixture
def simulator(tmp_path: Path) -> Path:
    source = tmp_path / "bench_counter.v"
    source.write_text(COUNTER)
    return bench.build([source], "bench_counter", {"bench_counter": ["clk", "clear", "total"]})


def run(simulator: Path, folder: Path, text: str, **options: float) -> bench.Results:
    (folder / "counter_tests.py").write_text(HEAD + text)
    return bench.run(
        simulator,
        "bench_counter",
        "counter_tests",
        folder=folder,
        python_path=[folder],
        seed=1,
        **options,  # type: ignore[arg-type]
    )


def test_bench_that_holds(simulator: Path, tmp_path: Path) -> None:
    results = run(simulator, tmp_path, COUNTS.format(wanted=10))
    assert (results.tests, results.failures) == (1, ())
    assert "counts" in results.log


def test_bench_that_does_not_hold_names_the_test(simulator: Path, tmp_path: Path) -> None:
    results = run(simulator, tmp_path, COUNTS.format(wanted=11) + PASSES)
    assert results.tests == 2
    assert len(results.failures) == 1
    assert results.failures[0].startswith("counts: wrong count")


def test_result_does_not_depend_on_running_under_pytest(
    simulator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    assert len(run(simulator, tmp_path, COUNTS.format(wanted=11)).failures) == 1


def test_module_without_tests_is_an_error(simulator: Path, tmp_path: Path) -> None:
    with pytest.raises(process.ToolError) as caught:
        run(simulator, tmp_path, "")
    assert str(caught.value) == (
        "cocotb ended without results: RuntimeError: No tests were discovered in any module: 'counter_tests'"
    )


def test_module_that_cannot_be_imported_is_an_error(simulator: Path, tmp_path: Path) -> None:
    with pytest.raises(process.ToolError) as caught:
        run(simulator, tmp_path, "import no_such_module\n")
    assert str(caught.value) == (
        "cocotb ended without results: ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_results_of_no_test_are_an_error(tmp_path: Path) -> None:
    xml = tmp_path / "results.xml"
    xml.write_text("<testsuites><testsuite tests='0' failures='0'/></testsuites>")
    with pytest.raises(process.ToolError, match=r"^cocotb ran no test$"):
        bench._results(xml, process.Finished("", 0.0))


def test_results_that_count_more_failures_than_they_name_are_an_error(tmp_path: Path) -> None:
    xml = tmp_path / "results.xml"
    xml.write_text(
        "<testsuites><testsuite tests='2' failures='1'><testcase name='a'/></testsuite></testsuites>"
    )
    with pytest.raises(process.ToolError, match=r"^cocotb counted 1 failures but named 0$"):
        bench._results(xml, process.Finished("", 0.0))


def test_simulator_that_crashes_is_an_error(simulator: Path, tmp_path: Path) -> None:
    crash = (
        "import os, signal\n@cocotb.test()\nasync def dies(dut):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    with pytest.raises(process.ToolError, match=r"^cocotb was killed by SIGSEGV: "):
        run(simulator, tmp_path, crash)


def test_results_of_an_earlier_run_are_not_taken(simulator: Path, tmp_path: Path) -> None:
    run(simulator, tmp_path, COUNTS.format(wanted=10))
    leave = "import os\n@cocotb.test()\nasync def leaves(dut):\n    os._exit(0)\n"
    with pytest.raises(process.ToolError, match=r"^cocotb ended without results"):
        run(simulator, tmp_path, leave)


def test_simulator_that_hangs_is_ended(simulator: Path, tmp_path: Path) -> None:
    hang = "import time\n@cocotb.test()\nasync def sleeps(dut):\n    time.sleep(60)\n"
    with pytest.raises(process.ToolError, match=r"^cocotb did not finish within 2 s: "):
        run(simulator, tmp_path, hang, timeout_s=2)


def test_only_visible_signals_are_reached(simulator: Path, tmp_path: Path) -> None:
    results = run(simulator, tmp_path, "@cocotb.test()\nasync def looks(dut):\n    dut.hidden.value\n")
    assert len(results.failures) == 1
    assert "hidden" in results.failures[0]


@pytest.mark.slow
@pytest.mark.parametrize("waves", ["vcd", "saif"])
def test_waves_are_recorded(waves: bench.Waves, tmp_path: Path) -> None:
    source = tmp_path / "bench_counter.v"
    source.write_text(COUNTER)
    simulator = bench.build(
        [source], "bench_counter", {"bench_counter": ["clk", "clear", "total"]}, waves=waves
    )
    (tmp_path / "counter_tests.py").write_text(HEAD + COUNTS.format(wanted=10))
    bench.run(
        simulator,
        "bench_counter",
        "counter_tests",
        folder=tmp_path,
        python_path=[tmp_path],
        arguments=["--trace"],
    )
    assert "hidden" in (tmp_path / f"dump.{waves}").read_text()
