"""Explorer and simulator beside those of before the redesign, in one run: `python -m benchmarks.house_speed`.

Each tree runs the same spaces and the same tasks in a process of its own, in turns, and a figure is the least processor
time of several turns. Fronts may differ, as the cost model changed since; designs, workloads and cycles do not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.house import BEFORE, checked_out

#: What each process runs; names that the redesign moved or changed are tried in both forms.
CODE = """
import json, sys, tempfile, time
from pathlib import Path
try:
    from blueprint.files.design import read_design
    from blueprint.workloads.model import layers, load
    from blueprint.workloads.tasks import Attention, Gemm
    names = {"dot": "dot_length", "heads": "head_group"}
except ImportError:
    from blueprint.design import read_design
    from blueprint.model import layers, load
    from blueprint.workload import Attention, Gemm
    names = {"dot": "depth", "heads": "group"}
from dse.explore import problem_of, run
from dse.space_file import read_space
from simulator.simulate import simulate

spaces, examples, times = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
block = [Gemm(g.m, g.k, g.n) for g in layers(load("bitnet_2b4t"), "decode", 1)]
tasks = {
    "ternary_lut": block,
    "systolic": [Gemm(64, g.k, g.n) for g in block],
    "streaming_attention": [Attention(256, 256, 20, 5, 128, "causal"), Attention(1, 1024, 20, 5, 128)],
}

def least(call):
    took = []
    for _ in range(times):
        begin = time.process_time()
        found = call()
        took.append(time.process_time() - begin)
    return min(took), found

def explored(path):
    with tempfile.TemporaryDirectory() as folder:
        study = run(problem_of(read_space(path)), Path(folder) / "study", workers=1, points_csv=False)
        study.close()

figures = {}
for family, work in tasks.items():
    spec = read_design(examples / family / "design.yaml").spec
    cycles = [simulate(spec, task).cycles for task in work]  # compiled, or read from Numba's cache
    took, again = least(lambda: [simulate(spec, task).cycles for task in work])
    assert again == cycles
    figures[f"simulator, {family}"] = took, cycles
with tempfile.TemporaryDirectory() as folder:
    for name, text in spaces.items():
        path = Path(folder) / f"{name}.yaml"
        path.write_text(text.format(**names))
        explored(path)
        figures[f"explorer, {name}"] = least(lambda: explored(path))[0], None
print(json.dumps(figures))
"""

_SPACE = """\
schema: ternforge/space/v1
family: {family}
parameters:
{parameters}
workload: {workload}
technology: asap7
dram: {{bandwidth_gb_s: 12.8, energy_pj_per_bit: 20, source: assumed}}
objectives: {objectives}
search: {{method: exhaustive}}
"""


def _space(family: str, workload: str, objectives: str, *parameters: str) -> str:
    """The text of a space; what stands in braces for a name is filled in by the process."""
    lines = "\n".join(f"  {each}" for each in parameters)
    text = _SPACE.format(family=family, parameters=lines, workload=workload, objectives=objectives)
    return text.replace("{", "{{").replace("}", "}}").replace("<<", "{").replace(">>", "}")


SPACES = {
    "ternary_lut": _space(
        "ternary_lut",
        "{model: bitnet_2b4t, phase: decode, tokens: 1, context: 1024}",
        "{area_um2: min, ternary_tokens_per_second: max, ternary_energy_pj_per_token: min}",
        "mu: [1, 2, 3, 4, 5, 6]", "lut_count: {log2: [1, 64]}", "fetch_count: {log2: [1, 128]}",
        "token_lanes: {log2: [1, 8]}", "table_style: [half, full]", "reduction: [carry_save, adder_tree]",
        "build_register: [false, true]", "fetch_register: [false, true]", "act_width: 8", "k_max: 6912",
        "n_max: 6912",
    ),
    "systolic": _space(
        "systolic",
        "{model: bitnet_2b4t, phase: prefill, tokens: 64}",
        "{area_um2: min, ternary_tokens_per_second: max}",
        "organization: [weight_stationary, output_stationary, cube, broadcast_matrix]", "pe: [mac, ternary, ent]",
        "rows: {log2: [1, 64]}", "cols: {log2: [1, 64]}", "<<dot>>: [1, 2, 4, 8]", "act_width: [4, 6, 8]",
        "weight_width: 2", "token_depth: [16, 64]", "k_max: 6912", "n_max: 6912",
    ),
    "streaming_attention": _space(
        "streaming_attention",
        "{attention: {seq: 1024, heads: 20, kv_heads: 5, dim: 128, mask: causal}}",
        "{area_um2: min, cycles: min}",
        "graph: [naive, scaled, reordered, memory_free]", "dim: 128", "keys_max: 1024", "mask: causal",
        "parallel: {log2: [1, 32]}", "<<heads>>: [1, 2, 4]", "dot_stages: [0, 1, 2, 3]", "exp_stages: [0, 1, 2, 3]",
        "product_stages: [0, 1, 2, 3]", "divide_stages: [0, 1, 2, 3]",
    ),
}  # fmt: skip


def figures(tree: Path, times: int) -> dict[str, tuple[float, object]]:
    """Processor seconds and cycles of every case on a tree, in a process that finds that tree alone."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    asked = [json.dumps(SPACES), str(tree / "examples"), str(times)]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *asked],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, tuple[float, object]] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(before: Path, after: Path, turns: int, times: int) -> str:
    """Processor seconds of both trees and their ratio, as a table in Markdown."""
    runs = [(figures(before, times), figures(after, times)) for _ in range(turns)]
    lines = ["| case | before [s] | after [s] | ratio |", "| --- | ---: | ---: | ---: |"]
    for case, (_, cycles) in runs[0][0].items():
        assert runs[0][1][case][1] == cycles, f"{case}: cycles must be those of before"
        old, new = (min(run[side][case][0] for run in runs) for side in (0, 1))
        lines.append(f"| {case} | {old:.4f} | {new:.4f} | {new / old:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=BEFORE, help="commit of the first column")
    parser.add_argument("--after", default="HEAD", help="commit of the second column")
    parser.add_argument("--turns", type=int, default=3, help="turns of both trees")
    parser.add_argument("--times", type=int, default=3, help="runs of a case in each turn")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trees = [
            checked_out(commit, Path(folder) / name)
            for name, commit in (("before", given.before), ("after", given.after))
        ]
        print(table(trees[0], trees[1], given.turns, given.times))


if __name__ == "__main__":
    main()
