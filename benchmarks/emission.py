"""Resources for writing large designs: processor time, peak memory and bytes of Verilog.

``python benchmarks/emission.py [NAME...]`` writes each design in a process of its own and prints a table.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from blueprint.registry import families
from generator.export import write_hardware

PRODUCT = {"m_max": 64, "k_max": 4096, "n_max": 4096, "act_width": 8}
ARRAY = PRODUCT | {"pe": "ternary", "weight_width": 2, "rows": 128, "cols": 128}
FLOAT = {"activation": "fp16", "act_width": 16, "reduction": "adder_tree"}
ATTENTION = {"dim": 128, "keys_max": 1024, "mask": "causal"}
FP16 = ATTENTION | {"format": "fp16"}
#: The widest of the fronts of examples/streaming_attention/space.yaml.
LANES = ATTENTION | {"parallel": 16, "head_group": 4}
#: Large designs of every family, by name: family and parameters.
DESIGNS: dict[str, tuple[str, dict[str, Any]]] = {
    "lut_wide": ("ternary_lut", PRODUCT | {"mu": 5, "lut_count": 64, "fetch_count": 64}),
    "lut_mu6": ("ternary_lut", PRODUCT | {"mu": 6, "lut_count": 32, "fetch_count": 32}),
    "lut_fp16": ("ternary_lut", PRODUCT | FLOAT | {"mu": 3, "lut_count": 32, "fetch_count": 16}),
    "stationary_128": ("systolic", ARRAY | {"organization": "weight_stationary"}),
    "output_128": ("systolic", ARRAY | {"organization": "output_stationary"}),
    "cube": ("systolic", ARRAY | {"organization": "cube", "rows": 32, "cols": 32, "dot_length": 16}),
    "tree": ("systolic", ARRAY | {"organization": "adder_tree", "rows": 1, "dot_length": 64}),
    "naive_fp16": ("streaming_attention", FP16 | {"graph": "naive", "acc_format": "fp32"}),
    "free_fp16": ("streaming_attention", FP16 | {"graph": "memory_free", "acc_format": "fixed"}),
    "reordered_bf16": (
        "streaming_attention",
        ATTENTION | {"graph": "reordered", "format": "bf16", "acc_format": "fp32"},
    ),
    "scaled_p4": ("streaming_attention", ATTENTION | {"graph": "scaled", "parallel": 4}),
    "scaled_p16": ("streaming_attention", LANES | {"graph": "scaled"}),
    "reordered_p16": ("streaming_attention", LANES | {"graph": "reordered"}),
    "free_p16": ("streaming_attention", LANES | {"graph": "memory_free"}),
    "grouped": ("streaming_attention", ATTENTION | {"keys_max": 4096, "parallel": 4, "head_group": 4}),
}


def measure(name: str) -> tuple[float, float, int, int]:
    """Processor seconds, peak megabytes of the largest process, bytes and number of the Verilog files."""
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen([sys.executable, __file__, "--write", name, folder])
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RuntimeError(f"{name} cannot be written")
        sizes = [file.stat().st_size for file in Path(folder, "rtl").iterdir()]
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, sum(sizes), len(sizes)


def write(name: str, folder: Path) -> None:
    """Write one of the designs."""
    family, parameters = DESIGNS[name]
    write_hardware(families()[family].from_mapping(parameters), folder)


def main(names: list[str]) -> None:
    """Measure some designs, all where none is named."""
    print("| design | processor s | peak MB | text kB | modules |\n| --- | --- | --- | --- | --- |")
    for name in names or list(DESIGNS):
        seconds, megabytes, size, files = measure(name)
        print(f"| `{name}` | {seconds:.1f} | {megabytes:.0f} | {size / 1000:.0f} | {files} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(sys.argv[2], Path(sys.argv[3]))
    else:
        main(sys.argv[1:])
