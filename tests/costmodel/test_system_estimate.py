"""What a whole decoder takes: by hand where that is possible, and the numbers of the presets on BitNet b1.58 2B4T."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from blueprint.systems import operations
from blueprint.systems.reader import read_system
from blueprint.workloads import model as models
from blueprint.workloads.tasks import Rowwise
from costmodel.model.evaluate import of_design
from costmodel.systems import estimate as costs
from costmodel.technology import technology
from ternforge import check, estimate, init, plot
from ternforge.cli import run

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = Path(__file__).parents[1] / "blueprint" / "hosted_system.yaml"
HBM = EXAMPLES / "hbm_2b4t" / "system.yaml"
HOSTED_2B4T = EXAMPLES.parent / "benchmarks" / "hosted_2b4t.yaml"
ASAP7 = technology.load("asap7")


def test_time_of_a_token_by_hand() -> None:
    """Memory of infinite rate: cycles of units in their closed form, and the host at its rate; nothing else."""
    system = read_system(TINY)
    fast = replace(system.memory, bandwidth_gb_s=1e9, ports=64, width=1 << 20, latency_ns=0)
    system = replace(system, memory=fast, buffers=replace(system.buffers, weights=1 << 30, cache=1 << 30))
    found = costs.estimate(system, system.largest, ASAP7, 100).phases["decode"]
    matrix = sum(
        4 * (-(-k // 48) * -(-n // 8) + 2)
        for k, n in [(256, 256)] * 2 + [(256, 128)] * 2 + [(256, 768)] * 2 + [(768, 256)]
    ) + (6 * 128 + 2)
    assert costs.busy(found, system)["matrix"] * found.time.seconds * 200e6 == pytest.approx(matrix, rel=0.02)
    vector, runs = (
        system.units["vector"].spec,
        ("norm+quantize", "norm+quantize", "norm+quantize", "dequantize+add"),
    )
    narrow = [*runs, "dequantize+add"]
    wide = ["dequantize", "dequantize+gate+norm+quantize"]
    rows = [Rowwise(1, 256, name) for name in narrow] + [Rowwise(1, 768, name) for name in wide]
    cycles = 4 * sum(int(vector.cycles(task)) for task in rows) + int(vector.cycles(Rowwise(1, 256, runs[0])))
    elements = 4 * 2 * (256 + 2 * 128) + 32 * 256 + 32
    unit = sum(step.compute for step in found.time.steps if step.operation.place == "vector")
    assert unit * 200e6 == pytest.approx(cycles)
    host = sum(step.compute for step in found.time.steps if step.operation.place == "host")
    assert host == pytest.approx(elements / 400e6)
    assert found.time.seconds == pytest.approx(sum(step.compute for step in found.time.steps), rel=1e-3)


@pytest.mark.parametrize("file", [TINY, EXAMPLES / "tiny_decoder" / "system.yaml"])
def test_cycles_of_operations_add_up_to_the_last_digit(file: Path) -> None:
    """Numbers of operations of a host are no whole ones: each that is shown is within one of its own."""
    answer = estimate(file, context=100, prompt=10)
    for name, phase in answer["phases"].items():
        cycles = [row["cycles"] for row in phase["operations"]]
        assert sum(cycles) == phase["cycles"] == round(phase["seconds"] * answer["clock_mhz"] * 1e6), name
        waits = [row["wait_cycles"] for row in phase["operations"]]
        system = read_system(file)
        steps = costs.estimate(system, system.largest, ASAP7, 100, 10).phases[name].time.steps
        assert abs(sum(waits) - sum(step.wait for step in steps) * answer["clock_mhz"] * 1e6) <= 0.5 + 1e-6


def test_traffic_bounds_a_token_from_below_and_energy_of_memory_is_that_of_its_bits() -> None:
    answer = estimate(HOSTED_2B4T, model="bitnet_2b4t", context=1024)
    decode = answer["phases"]["decode"]
    assert decode["seconds"] > decode["bytes"] / 16e9 * 0.99
    assert decode["energy_breakdown_pj"]["memory"] == pytest.approx(8 * 4 * decode["bytes"])
    assert decode["bytes"] == sum(row["bytes"] for row in decode["operations"])
    assert decode["cycles"] == pytest.approx(sum(row["cycles"] for row in decode["operations"]), abs=30)
    assert answer["tokens_per_second"] == pytest.approx(1 / decode["seconds"])
    assert answer["power_mw"] == pytest.approx(decode["energy_pj"] / decode["seconds"] * 1e-9)
    assert decode["limit"]["by"] == "memory" and decode["port_busy"] > 0.92


def test_area_is_that_of_the_units_and_the_buffers() -> None:
    system, answer = read_system(HOSTED_2B4T), estimate(HOSTED_2B4T)
    for name, unit in system.units.items():
        assert answer["area_breakdown_um2"][name] == of_design(unit.spec, ASAP7).area_um2
    assert answer["area_um2"] == pytest.approx(sum(answer["area_breakdown_um2"].values()))
    assert set(answer["area_breakdown_um2"]) - set(system.units) == {
        f"{name} buffer" for name in ("weights", "cache", "activations")
    }


def test_longer_context_and_less_bandwidth_cost_time() -> None:
    system = read_system(HOSTED_2B4T)
    model = models.load("bitnet_2b4t")
    times = [
        costs.estimate(system, model, ASAP7, context).phases["decode"].time.seconds
        for context in (0, 512, 4095)
    ]
    assert times == sorted(times) and times[0] < times[2]
    halved = replace(system, memory=replace(system.memory, bandwidth_gb_s=system.memory.bandwidth_gb_s / 2))
    slow = costs.estimate(halved, model, ASAP7, 512).phases["decode"].time.seconds
    assert 1.9 < slow / times[1] < 2.0


def test_a_head_on_a_host_takes_the_time_of_its_weights(tmp_path: Path) -> None:
    text = TINY.read_text(encoding="utf-8")
    text = text.replace("sampling]\n", "sampling, head]\n  bandwidth_gb_s: 0.5\n  power_w: 2\n")
    text = text.replace("stage: ternary, candidates: 32", "stage: int8")
    (tmp_path / "system.yaml").write_text(text, encoding="utf-8")
    system = read_system(tmp_path / "system.yaml")
    phase = costs.estimate(system, system.largest, ASAP7, 10).phases["decode"]
    (head,) = (step for step in phase.time.steps if step.operation.kind == "head")
    assert head.compute == pytest.approx(256 * 1024 / 0.5e9)
    assert not any(step.operation.kind == "rescore" for step in phase.time.steps)
    worked = costs.busy(phase, system)["host"] * phase.time.seconds
    assert phase.energies["host"] == pytest.approx(2e12 * worked)


def test_a_clock_that_units_do_not_reach_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "system.yaml"
    path.write_text(
        TINY.read_text(encoding="utf-8").replace("clock_mhz: 200", "clock_mhz: 2000"), encoding="utf-8"
    )
    assert run(["estimate", str(path)]) == 1
    assert (
        "FAIL: a clock of 2000 MHz is faster than the critical path of the system allows\n"
        in capsys.readouterr().out
    )
    path.write_text(TINY.read_text(encoding="utf-8").replace("clock_mhz: 200\n", ""), encoding="utf-8")
    answer = estimate(path)
    assert answer["clock_mhz"] == answer["fastest_clock_mhz"] and answer["meets_clock"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gemm", "1x2x3"], "workload must be given for a design, not for a system"),
        (["--set", "mu=2"], "overrides must be given for a design, not for a system"),
        (["--explain", "area"], "explain must be given for a design, not for a system"),
        (["--context", "256"], "context must be at most 255 for tiny_decoder on tiny_decoder, not 256"),
        (["--prompt", "300"], "prompt must be at most 256 for tiny_decoder on tiny_decoder, not 300"),
        (["--model", "tiny"], "head_dim of tiny must be 32, that of tiny_decoder, not 16"),
        (
            ["--model", "bitnet_2b4t"],
            "hidden of bitnet_2b4t must be at most 256, the largest of tiny_decoder, not 2560",
        ),
        (["--tech", "asap8"], "Technology must be one of asap7, ihp_sg13g2, sky130hd"),
    ],
)
def test_what_a_system_does_not_take(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["estimate", str(TINY), *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(message)


def test_a_design_takes_no_context(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", str(EXAMPLES / "ternary_lut" / "design.yaml"), "--context", "4"]) == 2
    assert capsys.readouterr().err == "context must be given for a system, not for a design\n"


def test_answers_are_json_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", str(TINY), "--context", "9", "--prompt", "5", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["phases"]) == {"decode", "prefill"} and answer["phases"]["prefill"]["tokens"] == 5
    assert run(["estimate", str(TINY), "--context", "9"]) == 0
    out = capsys.readouterr().out
    assert "decode: a token behind 9\n" in out and "area and energy of the host\n" in out


def test_check_shows_units_addresses_and_what_limits(tmp_path: Path) -> None:
    derived = check(TINY)["derived"]
    assert [unit["name"] for unit in derived["units"]] == ["matrix", "attention", "vector"]
    assert (
        derived["units"][0]["flip_flops"]
        == of_design(read_system(TINY).units["matrix"].spec, ASAP7).flip_flops
    )
    assert derived["limit"]["by"] == "memory" and derived["limit"]["context"] == 255
    assert derived["memory_used"] == derived["addresses"][-1]["base"] + derived["addresses"][-1]["size"]
    path = tmp_path / "system.yaml"
    path.write_text(
        TINY.read_text(encoding="utf-8").replace("technology: asap7", "technology: asap8"), encoding="utf-8"
    )
    assert run(["check", str(path)]) == 2


@pytest.mark.parametrize("preset", ["tiny_decoder", "edge_2b4t", "hbm_2b4t"])
def test_every_preset_is_a_start_with_a_diagram(preset: str, tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    space = ["space.yaml"] if preset == "tiny_decoder" else []
    assert [path.name for path in init(folder, preset)["files"]] == ["system.yaml", *space, "README.md"]
    (picture,) = plot(folder / "system.yaml")["files"]
    assert picture == folder / f"{preset}.svg" and picture.read_text(encoding="utf-8").startswith("<svg")


def test_every_operation_of_a_token_is_in_its_time() -> None:
    system = read_system(HBM)
    ops = operations.decode(system, system.largest, 1024)
    steps = costs.estimate(system, system.largest, ASAP7, 1024).phases["decode"].time.steps
    assert [step.operation for step in steps] == list(ops)
    assert all(one.end == other.start for one, other in zip(steps, steps[1:], strict=False))
