"""The spaces that ``benchmarks.explorer_speed`` searches: one a family, and one of a billion designs."""

from __future__ import annotations

_DRAM = 'dram: {bandwidth_gb_s: 25.6, energy_pj_per_bit: 20, source: "assumed, as in the demo"}\n'
_GOALS = "objectives: {area_um2: min, ternary_tokens_per_second: max, ternary_energy_pj_per_token: min}\n"
_TABLES = """\
schema: ternforge/space/v1
name: tables
family: ternary_lut
parameters:
  act_width: ACT
  mu: {range: [1, 6]}
  lut_count: LUTS
  fetch_count: FETCHES
  token_lanes: {log2: [1, 8]}
  table_style: [half, full]
  build_style: [direct, shared, pipelined]
  reduction: [carry_save, adder_tree]
  build_register: [false, true]
  fetch_register: [false, true]
  reduction_register: [false, true]
  k_max: 6912
  n_max: 6912
technology: asap7
constraints: {area_um2: {max: 100000}}
search: {method: exhaustive}
"""


def _tables(workload: str, act: str, luts: str, fetches: str) -> str:
    text = _TABLES.replace("ACT", act).replace("LUTS", luts).replace("FETCHES", fetches)
    return text + workload + _DRAM


_DECODE = (
    "workload: {model: bitnet_2b4t, phase: decode, tokens: 1, context: 1024}\nprompt_tokens: 64\n" + _GOALS
)
#: Products of three models in decode and of their prompts, every one of other sizes: 21 kinds, each this many times.
_SHAPES = (
    (1, 2560, 2560, 60), (1, 2560, 640, 60), (1, 2560, 6912, 60), (1, 6912, 2560, 30), (1, 2560, 3840, 30),
    (1, 2560, 13824, 30), (1, 1536, 1536, 96), (1, 1536, 4096, 48), (1, 4096, 1536, 24), (1, 3200, 3200, 104),
    (1, 3200, 8640, 52), (1, 8640, 3200, 26), (64, 2560, 2560, 60), (64, 2560, 640, 60), (64, 2560, 6912, 60),
    (64, 6912, 2560, 30), (64, 1536, 1536, 96), (64, 1536, 4096, 48), (64, 4096, 1536, 24), (64, 3200, 3200, 104),
    (64, 3200, 8640, 52),
)  # fmt: skip
_21_PRODUCTS = (
    "workload:\n  name: products_21\n  tasks:\n"
    + "".join(
        f"    - {{name: p{number}, gemm: {{m: {m}, k: {k}, n: {n}}}, count: {count}}}\n"
        for number, (m, k, n, count) in enumerate(_SHAPES)
    )
    + "objectives: {area_um2: min, rows_per_second: max, energy_pj_per_row: min}\n"
)
_ARRAYS = f"""\
schema: ternforge/space/v1
name: arrays
family: systolic
parameters:
  organization: [weight_stationary, output_stationary, cube, adder_tree, broadcast_matrix]
  pe: [mac, ternary, ent, opt1, opt2, booth_serial]
  accumulator: [registers, sram]
  product_register: [false, true]
  token_depth: {{log2: [16, 256]}}
  dot_length: {{log2: [1, 16]}}
  rows: {{log2: [1, 256]}}
  cols: {{log2: [1, 256]}}
  act_width: [4, 8]
  weight_width: 2
  k_max: 6912
  n_max: 6912
workload: {{model: bitnet_2b4t, phase: prefill, tokens: 64}}
technology: asap7
{_DRAM}{_GOALS}constraints: {{area_um2: {{max: 500000}}}}
search: {{method: exhaustive}}
"""
_ATTENTION = """\
schema: ternforge/space/v1
name: attention
family: streaming_attention
parameters:
  graph: [naive, scaled, reordered, memory_free]
  dim: 128
  keys_max: 1024
  mask: causal
  parallel: {log2: [1, 32]}
  head_group: [1, 2, 4]
  kv_width: [4, 8]
  dot_stages: {range: [0, 3]}
  scale_stages: {range: [0, 2]}
  exp_stages: {range: [0, 4]}
  reciprocal_stages: {range: [0, 8, 2]}
  product_stages: {range: [0, 3]}
  divide_stages: {range: [0, 2]}
workload: {attention: {seq: 1024, heads: 20, kv_heads: 5, dim: 128, mask: causal}}
technology: asap7
objectives: {area_um2: min, rows_per_second: max, energy_pj_per_row: min}
search: {method: exhaustive}
"""
_ROWS = """\
schema: ternforge/space/v1
name: rows
family: vector
parameters:
  rows_max: {range: [64, 65000, 100]}
  length_max: {range: [2560, 7680, 512]}
  lanes: {log2: [1, 32]}
  format: [fp16, bf16, fp32]
  rows_kept: [2, 3, 4]
workload: {rowwise: {rows: 64, length: 2560, operation: dequantize+add+norm+quantize}}
technology: asap7
objectives: {area_um2: min, rows_per_second: max, energy_pj_per_row: min}
search: {method: exhaustive}
"""
_WIDE = "{range: [4, 16]}"
SPACES = {
    "tables, BitNet in decode": _tables(_DECODE, "[6, 8]", "{log2: [1, 64]}", "{log2: [1, 128]}"),
    "the same, 1.7 M designs": _tables(_DECODE, _WIDE, "{log2: [1, 64]}", "{log2: [1, 128]}"),
    "tables, 21 products": _tables(_21_PRODUCTS, "[6, 8]", "{log2: [1, 64]}", "{log2: [1, 128]}").replace(
        "n_max: 6912", "n_max: 13824"
    ).replace("k_max: 6912", "k_max: 8640"),
    "arrays": _ARRAYS,
    "attention": _ATTENTION,
    "vector": _ROWS,
}  # fmt: skip
#: 13 x 6 x 64 x 512 designs of tables, styles and registers: 981 million.
HUGE = _tables(_DECODE, _WIDE, "{range: [1, 64]}", "{range: [1, 512]}")
