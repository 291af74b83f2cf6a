"""What is searched: number formats of every family, their spaces, and the work that they are measured on.

The first axes of a space, up to the one that a case names, say how many multiply-accumulates a design does in a cycle:
designs of no size that is asked for are passed over by these alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Length and width of a product, tokens, keys and queries of attention.
LENGTH, TOKENS, KEYS = 6912, 64, 1024
SIZES = (64, 256, 1024)
TECHNOLOGIES = ("asap7", "sky130hd", "ihp_sg13g2")
TABLES, ARRAYS, ATTENTION, ROWS = "ternary_lut", "systolic", "streaming_attention", "vector"


@dataclass(frozen=True)
class Case:
    """A number format of a family: its spaces and the work that they are measured on.

    ``outer`` is the last of the axes that say how much a design does in a cycle, empty where all designs are looked at;
    it may state ``slack`` times what it sustains.
    """

    family: str
    name: str
    parameters: tuple[str, ...]
    workload: str
    outer: str = ""
    sizes: tuple[int, ...] = SIZES
    slack: float = 2.0

    @property
    def label(self) -> str:
        """Family and format, which no other case has."""
        return f"{self.family}, {self.name}"

    def texts(self, size: int, technology: str) -> tuple[str, ...]:
        """The space files of a size in a technology."""
        dim = 32 if size < 2 * 64 else 64  # a query and a key of a head are two products an element
        return tuple(
            HEAD.format(family=self.family, technology=technology, workload=self.workload.format(dim=dim))
            + "parameters:\n"
            + "".join(f"  {line.strip()}\n" for line in one.format(dim=dim).strip().splitlines())
            for one in self.parameters
        )


HEAD = """
schema: ternforge/space/v1
family: {family}
workload: {workload}
technology: {technology}
objectives: {{area_um2: min, area_efficiency: max, energy_efficiency: max, critical_path_ps: min}}
"""
_GEMM = f"{{{{gemm: {{{{m: {TOKENS}, k: {LENGTH}, n: {LENGTH}}}}}}}}}"
_HEADS = f"{{{{attention: {{{{seq: {KEYS}, heads: 4, dim: {{dim}}}}}}}}}}"
_NORM = "{{rowwise: {{rows: 64, length: 2560, operation: dequantize+add+norm+quantize}}}}"
_PRODUCT = f"""
k_max: {LENGTH}
n_max: {LENGTH}
m_max: {TOKENS}
"""
_TABLE_SIZES = """
mu: {{range: [1, 5]}}
lut_count: {{log2: [1, 128]}}
fetch_count: {{log2: [4, 256]}}
token_lanes: [1, 4, 16]
"""
_REGISTERS = """
build_register: [false, true]
fetch_register: [false, true]
reduction_register: [false, true]
table_style: [half, full]
build_style: [shared, pipelined]
"""
#: Tables whose sums are words that are added every cycle; whose sums are resolved when they leave; of floats.
_PLAIN = """
n_tile: [8, 16, 32, 64, 256, 1024]
reduction: [carry_save, adder_tree]
reduction_stages: [0, 1, 2, 3]
"""
_SAVED = """
n_tile: [8, 16, 32, 64, 256, 1024]
carry_save_sums: true
resolve_cycles: [2, 4, 8]
reduction_stages: [0, 1, 2, 3]
"""
_ADDED = """
n_tile: [8, 16, 32, 64, 128, 256, 512, 1024, 2048]
adder_stages: {{range: [0, 8]}}
reduction: adder_tree
"""
_ARRAY_SIZES = f"""{_PRODUCT}
rows: [1, 4, 8, 16, 32, 64]
cols: {{{{log2: [1, 256]}}}}
token_depth: {TOKENS}
"""
_ARRAY = """
organization: [weight_stationary, output_stationary, cube, adder_tree, broadcast_matrix]
dot_length: {{log2: [1, 64]}}
product_register: [false, true]
"""
#: Arrays whose results are added in pieces; whose adders, and multipliers if they have any, have registers inside.
_PIECES = """
pe: [opt1, opt2, opt3, opt4c, opt4e, booth_serial]
resolve_cycles: [2, 3, 4]
"""
_TURNS = """
organization: [output_stationary, cube, adder_tree]
product_register: [false, true]
adder_stages: [1, 2, 3, 4]
"""
_PRODUCTS = "product_stages: [0, 1, 2, 3, 4]"
_STREAM = f"""
dim: {{dim}}
parallel: {{{{log2: [1, 8]}}}}
graph: [naive, scaled, reordered, memory_free]
keys_max: {KEYS}
queries_max: {KEYS}
heads_max: 4
scale_stages: 2
"""
_STREAM_WHOLE = """
short_steps: false
dot_stages: [0, 1, 2]
exp_stages: [0, 1, 2, 4]
reciprocal_stages: [0, 4, 8, 17]
product_stages: [0, 1, 2, 4]
divide_stages: [0, 2]
scale_cuts: [0, 4, 8, 16]
finish_cuts: [0, 4, 8, 16]
"""
_STREAM_SHORT = """
short_steps: true
exp_stages: [4, 8, 12, 16]
reciprocal_stages: [8, 16, 24]
product_stages: [2, 4, 7]
divide_stages: [2, 5, 8]
scale_cuts: [4, 8, 16]
finish_cuts: [4, 8, 16]
"""
_STREAM_TREE = "dot_stages: [2, 5, 8, 11]\n"
_STREAM_TURNS = "dot_stages: [8, 16, 24]\nsum_stages: [0, 1, 3, 5]\n"
_INTEGERS = ("ternary, mac, ent, opt1, opt2, booth_flex", "opt3, opt4c, opt4e, booth_serial")


def _tables(name: str, given: str, floats: bool) -> Case:
    shared = f"{_TABLE_SIZES}{_PRODUCT}{given}\n{_REGISTERS}"
    forms = (_ADDED,) if floats else (_PLAIN, _SAVED)
    return Case(TABLES, name, tuple(shared + form for form in forms), _GEMM, "token_lanes")


def _array(name: str, given: str, elements: str) -> Case:
    """Arrays of integers: all elements, and those with carry-save sums once more with results in pieces."""
    shared = f"{_ARRAY_SIZES}{_ARRAY}{given}\n"
    return Case(ARRAYS, name, (f"{shared}pe: [{elements}]", shared + _PIECES), _GEMM)


def _float_array(name: str, given: str, element: str) -> Case:
    """Arrays of floats: with adders of one step, and with registers inside."""
    shared = f"{_ARRAY_SIZES}{given}\npe: {element}\n"
    inside = _TURNS + (_PRODUCTS if element == "float" else "")
    return Case(ARRAYS, name, (shared + _ARRAY, shared + inside), _GEMM)


def _attention(name: str, given: str) -> Case:
    shared = _STREAM + given
    short = _STREAM_SHORT + (_STREAM_TURNS if "fp32" in given else _STREAM_TREE)
    return Case(ATTENTION, name, (shared + _STREAM_WHOLE, shared + short), _HEADS, "parallel")


def _float(name: str, width: int) -> str:
    return f"activation: {name}\nact_width: {width}\n"


_FLOATS = {"FP8 E4M3": _float("fp8_e4m3", 8), "BF16": _float("bf16", 16), "FP16": _float("fp16", 16)}
CASES: tuple[Case, ...] = (
    *(_tables(f"INT{width}", f"act_width: {width}", False) for width in (4, 8, 16)),
    *(_tables(f"{name}, float sums", given, True) for name, given in _FLOATS.items()),
    *(
        _tables(f"{name}, exact sums", f"{_FLOATS[name]}exact: true", False)
        for name in ("FP8 E4M3", "FP16")  # a sum of BF16 is too wide
    ),
    *(
        _array(f"INT{width} x ternary", f"act_width: {width}\nweight_width: [2, 4, 8]", ", ".join(_INTEGERS))
        for width in (4, 8, 16)
    ),
    _array(
        "INT8 x INT8", "act_width: 8\nweight_width: 8", "mac, ent, opt1, opt2, opt3, opt4c, opt4e, booth_serial"
    ),
    *(_float_array(f"{name} x ternary", f"{given}weight_width: 2", "ternary") for name, given in _FLOATS.items()),
    *(
        _float_array(f"{name} x {name}", f"{given}weight_width: {width}", "float")
        for (name, given), width in zip(_FLOATS.items(), (8, 16, 16), strict=True)
    ),
    _attention("INT8", "format: int8"),
    *(
        _attention(f"{name}, {sums} sums", f"format: {name.lower()}\nacc_format: {kind}")
        for name, sums, kind in (
            ("FP16", "fixed-point", "fixed"),
            ("FP16", "FP32", "fp32"),
            ("BF16", "FP32", "fp32"),
        )
    ),
    *(
        Case(
            ROWS,
            name,
            (f"lanes: {{{{log2: [1, 32]}}}}\nlength_max: {LENGTH}\nformat: {name.lower()}\nrows_kept: [2, 3, 4]\n",),
            _NORM,
            sizes=(4, 16),
        )
        for name in ("FP16", "BF16", "FP32")
    ),
)  # fmt: skip
#: Arrays with a register behind every step, by format: the model sees no gain in some of the registers.
_FAST: Mapping[str, object] = {
    "organization": "cube", "k_max": LENGTH, "n_max": LENGTH, "m_max": TOKENS, "token_depth": TOKENS,
    "product_register": True,
}  # fmt: skip
_SQUARE = {"rows": 16, "cols": 16, "activation": "fp16", "act_width": 16, "adder_stages": 4}
_ROW = {"pe": "opt2", "rows": 1, "cols": 256, "act_width": 8, "resolve_cycles": 5}
FAST_ARRAYS: Mapping[str, Mapping[str, object]] = {
    "FP16 x ternary": {**_FAST, **_SQUARE, "pe": "ternary", "weight_width": 2},
    "FP16 x FP16": {**_FAST, **_SQUARE, "pe": "float", "weight_width": 16, "product_stages": 4,
                    "organization": "output_stationary"},
    "INT8 x INT8": {**_FAST, **_ROW, "weight_width": 8},
    "INT8 x ternary": {**_FAST, **_ROW, "weight_width": 2},
}  # fmt: skip
#: Tables of one activation each, so many that shell and accumulators hardly count, by the numbers of their case.
WIDE_TABLES: Mapping[str, Mapping[str, object]] = {
    "INT8": {"mu": 1, "lut_count": 128, "fetch_count": 16, "n_tile": 16, "act_width": 8, "reduction_register": True,
             "carry_save_sums": True, "resolve_cycles": 4, "reduction_stages": 2,
             "k_max": 6912, "n_max": 6912, "m_max": TOKENS},
}  # fmt: skip
#: Attention of the size that is asked for, with a register behind every step of its tree.
DEEP_ATTENTION: Mapping[str, Mapping[str, object]] = {
    "FP16, FP32 sums": {"format": "fp16", "acc_format": "fp32", "dim": 64, "parallel": 2, "keys_max": KEYS,
                        "queries_max": KEYS, "heads_max": 4, "dot_stages": 46, "scale_stages": 2, "exp_stages": 16,
                        "reciprocal_stages": 24, "product_stages": 8, "divide_stages": 2, "scale_cuts": 16,
                        "finish_cuts": 16, "short_steps": True, "sum_stages": 5},
}  # fmt: skip
BY_LABEL: Mapping[str, Case] = {case.label: case for case in CASES}
