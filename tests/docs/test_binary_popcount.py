"""The example of a family outside the tree: no other file names it, and all rooms take it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.test_house import BIN, ROOMS, ROOT
from tests.volume import some

EXAMPLE = ROOT / "docs" / "binary_popcount"
FAMILY = "binary_popcount"
BLUEPRINT, GENERATOR = f"blueprint/families/{FAMILY}", f"generator/families/{FAMILY}"


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "TERNFORGE_FAMILIES": str(place), "PYTHONPATH": str(ROOT)}


def python(place: Path, code: str, *arguments: str) -> Any:
    """What a program prints as JSON, with the families of ``place``."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(place), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def wrong(place: Path, folder: Path, designs: int, seed: int = 1) -> list[str]:
    """What the conformance suite finds in designs of the family in ``place``."""
    code = (
        "import json, sys; from pathlib import Path; from ternforge.conformance import check_family;"
        "found = check_family(sys.argv[1], Path(sys.argv[2]), designs=int(sys.argv[3]), seed=int(sys.argv[4]));"
        "print(json.dumps(found))"
    )
    found: list[str] = python(place, code, FAMILY, str(folder), str(designs), str(seed))
    return found


def test_two_random_designs_conform(tmp_path: Path) -> None:
    assert wrong(EXAMPLE, tmp_path, 2) == []


@pytest.mark.slow
def test_more_random_designs_conform(tmp_path: Path) -> None:
    assert wrong(EXAMPLE, tmp_path, some(4, of=8)) == []


def test_the_explorer_estimates_designs_of_its_front_as_estimate_does(tmp_path: Path) -> None:
    code = (
        "import json, sys; from ternforge.conformance import check_space;"
        "print(json.dumps(check_space(sys.argv[1], sys.argv[2])))"
    )
    assert python(EXAMPLE, code, str(EXAMPLE / "space.yaml"), str(tmp_path / "study")) == []


MANIFEST = """
import json, sys
import numpy as np
from blueprint.registry import get
from tests.conformance.manifest_bench import Bench
from tests.conformance.test_manifest import manifest_of
wrong = []
for number in range(20):
    spec = get(sys.argv[1]).sample(np.random.default_rng([1, number]))
    task = spec.sample_workload(np.random.default_rng(number))
    operands, bench = spec.operands(task, number), Bench(manifest_of(spec))
    golden = spec.reference(operands)
    names = bench.names(operands, {}) | golden
    wrong += [number] * (bench.registers(names) != spec.register_values(task))
    packed = {name: bench.pack(name, operands, names) for name in ("act", "wgt")}
    wrong += [f"{number} {n}" for n, beats in spec.stimulus(operands).items() if not np.array_equal(packed[n], beats)]
    sent = {"out": bench.pack("out", golden, names)}
    wrong += [f"{number} out"] * (not np.array_equal(spec.collect(sent, task)["out"], golden["out"]))
    wrong += [f"{number} read"] * (not np.array_equal(bench.unpack("out", sent["out"], names)["out"], golden["out"]))
print(json.dumps(wrong))
"""


def test_a_bench_from_the_manifest_packs_the_same_beats() -> None:
    assert python(EXAMPLE, MANIFEST, FAMILY) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "design.yaml"],
        ["check", "space.yaml"],
        ["estimate", "design.yaml", "--workload", "workload.yaml"],
        ["simulate", "design.yaml", "--workload", "workload.yaml"],
        ["generate", "design.yaml", "--out", "{}/rtl"],
        ["explore", "space.yaml", "--out", "{}/study", "--budget", "20"],
        pytest.param(["verify", "design.yaml", "--gemm", "2x100x40"], marks=pytest.mark.slow),
        pytest.param(["synth", "design.yaml", "--set", "lanes=8", "--set", "cols=2"], marks=pytest.mark.slow),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_commands_take_the_family(arguments: list[str], tmp_path: Path) -> None:
    command = [str(BIN / "ternforge"), *(argument.format(tmp_path) for argument in arguments)]
    done = subprocess.run(
        command, cwd=EXAMPLE, env=environment(EXAMPLE), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_without_the_variable_there_is_no_such_family() -> None:
    command = [str(BIN / "ternforge"), "check", "design.yaml"]
    clean = {name: value for name, value in os.environ.items() if name != "TERNFORGE_FAMILIES"}
    done = subprocess.run(command, cwd=EXAMPLE, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Family must be one of" in done.stderr and f"not '{FAMILY}'" in done.stderr


def test_no_room_names_the_family() -> None:
    texts = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert [path for path in texts if FAMILY in path.read_text(encoding="utf-8")] == []


@pytest.mark.slow
def test_copied_into_the_tree_it_is_a_family_that_mypy_checks(tmp_path: Path) -> None:
    for name in ("blueprint", "generator", "toolchain", "rtl_templates"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for room in ("blueprint", "generator"):
        shutil.copytree(EXAMPLE / room, tmp_path / room, dirs_exist_ok=True)
    done = subprocess.run(
        [str(BIN / "mypy"), BLUEPRINT, GENERATOR], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    script = "from blueprint.registry import families; print(*families())"
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=clean, capture_output=True, text=True
    )
    assert FAMILY in done.stdout.split(), done.stderr


# The page ----------------------------------------------------------------------------------------------------------


def test_the_page_counts_the_lines() -> None:
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    told = {
        name: int(count)
        for name, count in re.findall(r"^\| `([a-z_/]+\.py)` \| (\d+) \|", text, re.MULTILINE)
    }
    files = {path.relative_to(EXAMPLE).as_posix(): path for path in EXAMPLE.rglob("*.py")}
    counts = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files.items()}
    assert told == {name.replace(f"families/{FAMILY}/", ""): count for name, count in counts.items()}
    assert f"**{sum(counts.values())} lines**" in text


# Failing twins -----------------------------------------------------------------------------------------------------


TWINS = {
    "a wrong value": (f"{GENERATOR}/column.py", "~(self.activation ^ self.weight)", "(self.activation & self.weight)"),
    "a wrong threshold": (f"{GENERATOR}/column.py", "total >= self.threshold", "total > self.threshold"),
    "a stall charged otherwise": (f"{GENERATOR}/control.py", "~closing)", "~last_beat)"),
    "a cycle too few": (f"{BLUEPRINT}/schedule.py", "tiles + 2", "tiles + 1"),
    "a slot too many": (f"{BLUEPRINT}/schedule.py", 'Channel("results", 1', 'Channel("results", 2'),
    "a flip-flop too many": (f"{BLUEPRINT}/inventory.py", "width=5, enable", "width=6, enable"),
    "a place of nothing": (f"{GENERATOR}/column.py", 'place = "column"', 'place = "columns"'),
    "an unknown size": (f"{BLUEPRINT}/ports.py", '"n": "n"}', '"m": "n"}'),
}  # fmt: skip
#: The random design that shows it, and what is said of it: design 3 has long sums in one column, 13 a result a cycle.
NOTICED = {
    "a wrong value": (3, "out differs"),
    "a wrong threshold": (13, "out differs"),
    "a stall charged otherwise": (3, "output stalls"),
    "a cycle too few": (3, "cycles"),
    "a slot too many": (13, "stalls"),
    "a flip-flop too many": (3, "flip-flops of the netlist, flat, are"),
    "a place of nothing": (3, "stands at columns, where the inventory counts nothing"),
    "an unknown size": (3, "register m: must be written and be there"),
}


def twin(place: Path, name: str) -> Path:
    """A copy of the example with one change."""
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("__pycache__"))
    path, old, new = TWINS[name]
    text = (place / path).read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    (place / path).write_text(text.replace(old, new), encoding="utf-8")
    return place


def in_one_design(place: Path, folder: Path, number: int) -> list[str]:
    """What the suite finds in one random design."""
    code = (
        "import json, sys; from pathlib import Path; from blueprint.registry import get; import numpy as np;"
        "from ternforge.conformance import check_design; number = int(sys.argv[3]);"
        "spec = get(sys.argv[1]).sample(np.random.default_rng([1, number]));"
        "print(json.dumps(check_design(spec, Path(sys.argv[2]), number)))"
    )
    found: list[str] = python(place, code, FAMILY, str(folder), str(number))
    return found


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if "flip-flop" in name or "value" in name else pytest.mark.slow)
        for name in TWINS
    ],
)
def test_twins_fail(name: str, tmp_path: Path) -> None:
    """All of them are among the designs in which nothing is wrong without the change."""
    number, says = NOTICED[name]
    found = in_one_design(twin(tmp_path / "twin", name), tmp_path / "built", number)
    assert any(says in line for line in found), found


_PEAK = (f"{BLUEPRINT}/parameters.py", "return self.lanes * self.cols\n")
WORK_TWINS = {
    "half of the traffic": (
        f"{BLUEPRINT}/schedule.py",
        "count * whole_bytes(bits)",
        "count * whole_bytes(bits) // 2",
        "cross the streams",
    ),
    "twice the peak": (*_PEAK, "return 2 * self.lanes * self.cols\n", "comes closer to its peak"),
    "half of the peak": (*_PEAK, "return self.lanes\n", "does more than the peak"),
}


def in_its_work(place: Path) -> list[str]:
    """What the suite finds in traffic, peaks and columns of twelve designs, without building one."""
    code = (
        "import json, sys; from blueprint.registry import get; import numpy as np;"
        "from ternforge.conformance import check_columns, check_peak, check_work;"
        "specs = [get(sys.argv[1]).sample(np.random.default_rng([1, number])) for number in range(12)];"
        "found = [*check_columns(specs), *check_peak(specs)];"
        "found += [what for number, spec in enumerate(specs) for what in check_work(spec, number)];"
        "print(json.dumps(found))"
    )
    found: list[str] = python(place, code, FAMILY)
    return found


def test_traffic_peaks_and_columns_conform() -> None:
    assert in_its_work(EXAMPLE) == []


@pytest.mark.parametrize("name", WORK_TWINS)
def test_twins_of_its_work_fail(name: str, tmp_path: Path) -> None:
    path, old, new, says = WORK_TWINS[name]
    place = tmp_path / "twin"
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("__pycache__"))
    text = (place / path).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (place / path).write_text(text.replace(old, new), encoding="utf-8")
    assert any(says in what for what in in_its_work(place))


# Folders that hold no family ---------------------------------------------------------------------------------------


def refused(places: str, folder: Path) -> str:
    command = [str(BIN / "ternforge"), "check", str(EXAMPLE / "design.yaml")]
    env = {**os.environ, "TERNFORGE_FAMILIES": places}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    return done.stderr.strip()


def test_a_relative_folder_is_refused(tmp_path: Path) -> None:
    what = "TERNFORGE_FAMILIES must name absolute folders, not 'mine'"
    assert refused("mine", tmp_path).endswith(f"{what}; use {tmp_path / 'mine'}")


def test_a_folder_without_a_family_is_refused(tmp_path: Path) -> None:
    what = "TERNFORGE_FAMILIES must name folders with blueprint/families/<name>/__init__.py"
    for place in (tmp_path / "nothing", tmp_path, EXAMPLE / "blueprint"):
        assert refused(f"{EXAMPLE}{os.pathsep}{place}", tmp_path).endswith(f"{what}, not '{place}'")


def test_two_families_of_one_name_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(EXAMPLE, other)
    says = refused(f"{EXAMPLE}{os.pathsep}{other}", tmp_path)
    places = f"{EXAMPLE / 'blueprint/families'} and {other / 'blueprint/families'}"
    assert says.endswith(f"Family '{FAMILY}' must have a name of its own, and is in {places}")


def test_a_family_with_the_name_of_one_of_ours_is_refused(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / BLUEPRINT, tmp_path / "blueprint/families/systolic")
    says = refused(str(tmp_path), tmp_path)
    places = f"{ROOT / 'blueprint/families'} and {tmp_path / 'blueprint/families'}"
    assert says.endswith(f"Family 'systolic' must have a name of its own, and is in {places}")


def test_a_family_without_a_facet_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "place"
    shutil.copytree(EXAMPLE, place)
    (place / BLUEPRINT / "golden.py").unlink()
    says = refused(str(place), tmp_path)
    files = "a folder with parameters, ports, schedule, inventory, golden and samples"
    assert says.endswith(f"Family '{FAMILY}' must be {files}, not without golden")


def test_a_family_without_hardware_is_refused_where_hardware_is_made(tmp_path: Path) -> None:
    place = tmp_path / "place"
    shutil.copytree(EXAMPLE, place)
    shutil.rmtree(place / "generator")
    command = [str(BIN / "ternforge"), "generate", "design.yaml", "--out", str(tmp_path / "rtl")]
    done = subprocess.run(
        command, cwd=EXAMPLE, env=environment(place), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    what = f"must have a class Top in generator/families/{FAMILY}"
    assert done.stderr.strip().endswith(f"Family '{FAMILY}' {what}; there is none")
