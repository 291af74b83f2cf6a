"""What every family owes beside agreement: legal and reproducible Verilog, specs that travel, light workers."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.files.design import read_design, write_design
from blueprint.registry import families
from blueprint.spec import Spec
from blueprint.workloads.tasks import Attention, Gemm, Task
from blueprint.workloads.workload import of_task
from costmodel.calibration import sampling
from generator.export import write_hardware
from ternforge.conformance import check_columns, check_places, check_ports
from tests.volume import some
from toolchain import verilator

FAMILIES = sorted(families())


def designs(family: str, count: int, seed: int = 3) -> list[Spec]:
    return [families()[family].sample(np.random.default_rng([seed, number])) for number in range(count)]


def small(family: str, count: int) -> list[Spec]:
    """The smallest of three times as many designs, every arithmetic in turn."""
    turns: Counter[str] = Counter()

    def turn(spec: Spec) -> int:
        turns[spec.arithmetic] += 1
        return turns[spec.arithmetic]

    return sorted(sorted(designs(family, 3 * count), key=sampling.gates), key=turn)[:count]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", range(some(1, of=5)))
def test_verilog_is_lint_clean(family: str, number: int, tmp_path: Path) -> None:
    check_lint(designs(family, number + 1)[number], tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", range(3))
def test_verilog_of_small_designs_is_lint_clean(family: str, number: int, tmp_path: Path) -> None:
    check_lint(small(family, 3)[number], tmp_path)


def check_lint(spec: Spec, folder: Path) -> None:
    manifest = write_hardware(spec, folder)
    files = [folder / file for file in manifest["files"]]
    assert verilator.lint(files, manifest["top"], [folder / "lint.vlt"]) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_lint_notices_what_is_not_waived(family: str, tmp_path: Path) -> None:
    manifest = write_hardware(designs(family, 1)[0], tmp_path)
    files = [tmp_path / file for file in manifest["files"]]
    files[-1].write_text(
        files[-1].read_text().replace("endmodule", "wire [3:0] w = 12'd7; wire v = w;\nendmodule", 1)
    )
    assert any(
        "WIDTHTRUNC" in line for line in verilator.lint(files, manifest["top"], [tmp_path / "lint.vlt"])
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_spec_gives_the_same_bytes(family: str, tmp_path: Path) -> None:
    spec = small(family, 1)[0]
    write_hardware(spec, tmp_path / "here")
    script = (
        "import json, sys; from pathlib import Path; from blueprint.registry import get;"
        "from generator.export import write_hardware;"
        f"write_hardware(get({family!r}).from_mapping(json.loads(sys.argv[1])), Path(sys.argv[2]))"
    )
    for seed in ("0", "1"):
        out = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", script, json.dumps(spec.parameters), str(out)],
            check=True, env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        for file in (tmp_path / "here").rglob("*"):
            if file.is_file():
                assert file.read_bytes() == (out / file.relative_to(tmp_path / "here")).read_bytes(), file


@pytest.mark.parametrize("family", FAMILIES)
def test_declared_ports_are_the_built_ones(family: str, tmp_path: Path) -> None:
    spec = small(family, 1)[0]
    manifest = write_hardware(spec, tmp_path)
    assert list(check_ports(spec, (tmp_path / "rtl" / f"{manifest['top']}.v").read_text())) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_module_is_written_once_and_headed(family: str, tmp_path: Path) -> None:
    for number, spec in enumerate(small(family, 3)):
        manifest = write_hardware(spec, tmp_path / str(number))
        names = [line.split()[1].split("(")[0]
                 for file in manifest["files"]
                 for line in (tmp_path / str(number) / file).read_text().splitlines()
                 if line.startswith("module ")]  # fmt: skip
        assert sorted(names) == sorted(manifest["modules"])
        for file in manifest["files"]:
            head = (tmp_path / str(number) / file).read_text().splitlines()[:2]
            assert (
                head[0].startswith("// ") and head[1].startswith("// Latency: ") and "Throughput: " in head[1]
            )


@pytest.mark.parametrize("family", FAMILIES)
def test_text_grows_with_the_modules_not_with_the_work_of_the_array(family: str, tmp_path: Path) -> None:
    spec = small(family, 1)[0]
    one = write_hardware(spec, tmp_path / "one")
    assert len(one["files"]) == len(one["modules"])


@pytest.mark.parametrize("family", FAMILIES)
def test_specs_pickle_hash_and_survive_a_file(family: str, tmp_path: Path) -> None:
    for spec in designs(family, 20):
        assert pickle.loads(pickle.dumps(spec)) == spec
        assert hash(families()[family](**spec.parameters)) == hash(spec)
        write_design(spec, tmp_path / "design.yaml")
        again = read_design(tmp_path / "design.yaml").spec
        assert again == spec and again.design_hash == spec.design_hash


@pytest.mark.parametrize("family", FAMILIES)
def test_many_designs_at_once_equal_one_by_one(family: str) -> None:
    assert list(check_columns(designs(family, 60))) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_hold_or_do_not(family: str) -> None:
    """A rule that held 1 or 0 times would be inverted to -2 or -1, and the explorer would keep what it rules out."""
    for spec in designs(family, 4):
        many = type(spec).columns({name: np.array([value]) for name, value in spec.parameters.items()})
        for p in (spec, many):
            for rule in (*p.rules(), *p.capacity([spec.typical_workload()])):
                assert np.asarray(rule.holds).dtype == np.bool_, (rule.parameter, rule.reason)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_task_of_the_other_kind_is_refused(family: str) -> None:
    kind = families()[family]
    other: Task = Gemm(1, 2, 3) if kind.task is Attention else Attention(1, 2)
    text = f"Family {family} runs {kind.task.kind}, not {other.kind} of {other.label}"
    with pytest.raises(ParamError, match=f"^{re.escape(text)}$"):
        kind.tasks(of_task(other))


@pytest.mark.parametrize("family", FAMILIES)
def test_hooks_of_the_cost_model_give_tasks_and_designs_of_the_family(family: str) -> None:
    for spec in designs(family, 8):
        task = spec.typical_workload()
        spec.check_task(task)
        spec.timing(task, spec.operands(task, 0)).check()
        assert 1 <= int(spec.occupied(task)) <= int(spec.cycles(task)) < 2000
        assert len(spec.sized_for(task).units()) == len(spec.units())


@pytest.mark.parametrize("family", FAMILIES)
def test_cycles_of_operands_hold_the_work_and_end_with_the_run(family: str) -> None:
    """Ragged edges, digits and masks included; many designs at once say what each does."""
    kind = families()[family]
    for number in range(60):
        random = np.random.default_rng([17, number])
        spec = kind.sample(random)
        task = spec.sample_workload(random)
        taken = spec.occupied(task)
        columns = kind.columns({name: np.array([value] * 2) for name, value in spec.parameters.items()})
        assert np.broadcast_to(columns.occupied(task), 2).tolist() == [taken] * 2
        least = (
            1 if getattr(spec, "prunes", False) else task.macs / int(spec.peak_macs)
        )  # of picked keys alone
        assert least <= taken <= int(spec.cycles(task)), (spec.parameters, task)


@pytest.mark.parametrize("family", FAMILIES)
def test_describing_a_design_loads_no_hardware_library(family: str) -> None:
    script = (
        "import sys; from blueprint.registry import get; import dse.evaluate;"
        f"get({family!r}); print([m for m in ('amaranth', 'pyosys', 'cocotb', 'matplotlib') if m in sys.modules])"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("family", FAMILIES)
def test_modules_stand_where_the_inventory_counts_them(family: str, tmp_path: Path) -> None:
    for number, spec in enumerate(small(family, 3)):
        assert list(check_places(spec, write_hardware(spec, tmp_path / str(number)))) == [], spec
