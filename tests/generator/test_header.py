"""The C header of an exported folder: legal C, and the register map of the manifest."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.registry import families
from blueprint.spec import Spec
from costmodel.calibration import sampling
from generator.export import write_hardware

FAMILIES = sorted(families())
COMPILE = ("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")


def smallest(family: str, number: int = 0) -> Spec:
    """One of the smallest of a dozen random designs."""
    random = np.random.default_rng(4)
    some = [families()[family].sample(random) for _ in range(12)]
    return sorted(some, key=sampling.gates)[number]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], Path]]:
    """A design of every family: manifest and header."""
    found = {}
    for family in FAMILIES:
        out = tmp_path_factory.mktemp(family) / "out"
        manifest = write_hardware(smallest(family), out)
        (header,) = manifest["headers"]
        found[family] = manifest, out / header
    return found


def macros(manifest: dict[str, Any]) -> dict[str, int]:
    """What the header has to define, from the manifest."""
    found = {}
    for name, register in manifest["registers"].items():
        this = f"{manifest['family']}_{name}".upper()
        found |= {f"{this}_OFFSET": register["address"], f"{this}_RESET": register["reset"]}
        for field, (low, width) in register["fields"].items():
            found[f"{this}_{field.upper()}_SHIFT"] = low
            found[f"{this}_{field.upper()}_MASK"] = ((1 << width) - 1) << low
        if "legal" in register:
            found |= dict(zip((f"{this}_MIN", f"{this}_MAX"), register["legal"], strict=True))
    return found


def compiled(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a strict compiler says of a program."""
    (folder / "main.c").write_text(text)
    command = [*COMPILE, "-o", str(folder / "main"), str(folder / "main.c")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def differences(manifest: dict[str, Any], header: Path, folder: Path) -> list[str]:
    """Macros that are not there, too many, or have another value."""
    defined = [line.split()[1] for line in header.read_text().splitlines() if line.startswith("#define")][1:]
    lines = [f'printf("{name} %lu\\n", (unsigned long){name});' for name in defined]
    # Included twice, as where two other headers include it.
    head = f'#include <stdio.h>\n#include "{header}"\n#include "{header}"\n'
    done = compiled(f"{head}int main(void) {{\n{chr(10).join(lines)}\nreturn 0;\n}}\n", folder)
    assert done.returncode == 0, done.stderr
    said = subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout
    values = {name: int(value) for name, value in map(str.split, said.splitlines())}
    wanted = macros(manifest)
    return sorted(name for name in {*values, *wanted} if values.get(name) != wanted.get(name))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_header_compiles_and_is_the_map_of_the_manifest(
    family: str, exported: dict[str, tuple[dict[str, Any], Path]], tmp_path: Path
) -> None:
    assert differences(*exported[family], tmp_path) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_names_differ_within_what_c_tells_apart(
    family: str, exported: dict[str, tuple[dict[str, Any], Path]]
) -> None:
    names = list(macros(exported[family][0]))
    assert len({name[:63] for name in names}) == len(names)


@pytest.mark.parametrize(
    ("old", "new", "macro"),
    [
        ("_CYCLES_OFFSET 0x", "_CYCLES_OFFSET 0x1", "CYCLES_OFFSET"),
        ("_BUSY_MASK 0x00000001u", "_BUSY_MASK 0x00000003u", "STATUS_BUSY_MASK"),
        ("_DONE_SHIFT 1u", "_DONE_SHIFT 2u", "STATUS_DONE_SHIFT"),
        ("_STALL_MEMORY_RESET 0x00000000u", "_STALL_MEMORY_RESET 0x00000001u", "STALL_MEMORY_RESET"),
    ],
)
def test_a_wrong_number_is_noticed(
    old: str, new: str, macro: str, exported: dict[str, tuple[dict[str, Any], Path]], tmp_path: Path
) -> None:
    manifest, header = exported[FAMILIES[-1]]
    twin = tmp_path / "twin.h"
    assert old in header.read_text()
    twin.write_text(header.read_text().replace(old, new))
    assert differences(manifest, twin, tmp_path) == [f"{FAMILIES[-1]}_{macro}".upper()]


def test_a_size_without_its_limits_is_noticed(
    exported: dict[str, tuple[dict[str, Any], Path]], tmp_path: Path
) -> None:
    manifest, header = exported[FAMILIES[-1]]
    twin = tmp_path / "twin.h"
    lines = header.read_text().splitlines()
    twin.write_text("\n".join(line for line in lines if "_MAX " not in line) + "\n")
    sizes = [name for name, register in manifest["registers"].items() if "legal" in register]
    assert differences(manifest, twin, tmp_path) == sorted(
        f"{FAMILIES[-1]}_{name}_MAX".upper() for name in sizes
    )


_MAIN = """
#include <stdio.h>
int main(void) {
    static uint32_t words[64];
    words[TERNARY_LUT_STATUS_OFFSET / 4] = %s;
    printf("%%d", run(words, 5, 6, 7));
    for (int word = 0; word < 5; word++) printf(" %%u", (unsigned)words[word]);
    return 0;
}
"""


@pytest.mark.parametrize(
    ("status", "printed"),
    [
        ("TERNARY_LUT_STATUS_DONE_MASK", "0 1 2 5 6 7"),
        ("TERNARY_LUT_STATUS_SIZE_ERROR_MASK", "-1 1 4 5 6 7"),
    ],
)
def test_the_driver_of_the_page_writes_sizes_and_start(
    status: str, printed: str, exported: dict[str, tuple[dict[str, Any], Path]], tmp_path: Path
) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "registers.md"
    (driver,) = re.findall(r"^```c\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "regs.h").write_text(exported["ternary_lut"][1].read_text())
    done = compiled(driver + _MAIN % status, tmp_path)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout == printed


def test_headers_of_two_designs_of_a_family_refuse_to_be_mixed(tmp_path: Path) -> None:
    """Their numbers differ under the same names, and a compiler says so."""
    lines = ["#include <stdio.h>"]
    for number in range(2):
        (header,) = write_hardware(smallest(FAMILIES[-1], number), tmp_path / str(number))["headers"]
        lines.append(f'#include "{tmp_path / str(number) / header}"')
    done = compiled("\n".join([*lines, "int main(void) { return 0; }\n"]), tmp_path)
    assert done.returncode != 0
    assert f'"{FAMILIES[-1]}_HASH_LO_RESET" redefined'.upper() in done.stderr.upper()
