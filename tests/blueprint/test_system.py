"""System files: what is read, what is refused and in which words, the operations of a model, and the address map."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from blueprint.errors import ParamError, SpecError
from blueprint.systems import address_map, operations, rules
from blueprint.systems.description import System
from blueprint.systems.diagram import svg
from blueprint.systems.reader import read_system, system_text
from blueprint.workloads import model as models
from blueprint.workloads.model import attention, layers
from blueprint.workloads.tasks import OPERATIONS

EXAMPLES = Path(__file__).parents[2] / "examples"
PRESETS = sorted(path.parent.name for path in EXAMPLES.glob("*/system.yaml"))
HOSTED = Path(__file__).with_name("hosted_system.yaml")
HOSTED_2B4T = EXAMPLES.parent / "benchmarks" / "hosted_2b4t.yaml"
SHIPPED = HOSTED.read_text(encoding="utf-8")
UNIT = "  vector:\n    family: vector\n    parameters:\n      lanes: 4\n      length_max: 768\n      rows_max: 8\n"
#: The small system with all elements on its host.
TINY = SHIPPED.replace(UNIT, "").replace("runs: [positions,", "runs: [elements, positions,")


def preset(name: str = "tiny_decoder") -> System:
    return read_system(HOSTED if name == "tiny_decoder" else EXAMPLES / name / "system.yaml")


def edited(folder: Path, *edits: tuple[str, str]) -> Path:
    """The small system with texts replaced."""
    text = TINY
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "system.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read_system(path)
    return str(caught.value).removeprefix(f"{path}:")


@pytest.mark.parametrize("name", PRESETS)
def test_a_system_reads_back_as_the_same(name: str, tmp_path: Path) -> None:
    system = preset(name)
    (tmp_path / "again.yaml").write_text(system_text(system), encoding="utf-8")
    assert read_system(tmp_path / "again.yaml") == system


def test_a_unit_runs_what_its_family_can_and_no_other_place_was_given(tmp_path: Path) -> None:
    array = (
        "units:\n  prompts: {family: systolic, runs: [prefill], parameters: {organization: output_stationary, "
        "pe: ternary, rows: 8, cols: 8, act_width: 8, weight_width: 2, k_max: 768, n_max: 1024}}"
    )
    system = read_system(edited(tmp_path, ("units:", array)))
    assert system.places == {
        "product": "matrix",
        "prefill": "prompts",
        "head": "matrix",
        "attention": "attention",
        "elements": "host",
        "positions": "host",
        "sampling": "host",
    }
    names = [region.name for region in address_map.regions(system, system.largest)]
    assert names[:2] == ["weights", "prefill"]  # each unit has its weights in the order of its own beats
    tasks = {op.place for op in operations.prefill(system, system.largest, 8) if op.kind == "product"}
    assert tasks == {"prompts"}


MEMORY = "cache: {}, activations: 65536}}\nmemory:\n  size_mib: 16\n  bandwidth_gb_s: 1.6\n  ports: 1\n"
MEMORY += "  width: {}\n  burst: {}"
REFUSED = {
    "unit twice": (
        ("  attention:\n", "  other: {family: ternary_lut, parameters: {mu: 3, lut_count: 16, fetch_count: 8, "
         "act_width: 8, k_max: 768, n_max: 1024}}\n  attention:\n"),
        "17:3: units.other: runs must give product to one place, not to matrix and other",
    ),
    "work without a place": (
        ("runs: [elements, positions, sampling]", "runs: [elements, sampling]"),
        "6:1: units: units must run positions, and none does: give it to a unit that can or to the host",
    ),
    "work of another family": (
        ("    family: streaming_attention\n", "    family: streaming_attention\n    runs: [product]\n"),
        "19:12: units.attention.runs[0]: runs must be of attention, what streaming_attention can run, not 'product'",
    ),
    "work of a host": (
        ("runs: [elements, positions, sampling]", "runs: [elements, positions, smapling]"),
        "27:31: host.runs[2]: runs must be of head, elements, positions, sampling, what a host can run, not "
        "'smapling'; did you mean 'sampling'?",
    ),
    "work twice": (
        ("runs: [elements, positions, sampling]", "runs: [elements, positions, positions]"),
        "27:31: host.runs[2]: runs must name positions once, not twice",
    ),
    "rate without work": (
        ("  elements_per_s: 400.0e+6\n", "  elements_per_s: 400.0e+6\n  bandwidth_gb_s: 4\n"),
        "29:3: host.bandwidth_gb_s: bandwidth_gb_s must not be there where the host does not run head",
    ),
    "rate missing": (
        ("  elements_per_s: 400.0e+6\n", ""),
        "26:1: host: elements_per_s must be given where the host runs elements and positions and sampling, and is "
        "missing",
    ),
    "rate of a head": (
        ("runs: [elements, positions, sampling]", "runs: [elements, positions, sampling, head]"),
        "26:1: host: bandwidth_gb_s must be given where the host runs head, and is missing",
    ),
    **{
        f"unit named {name}": (
            ("  attention:\n", f"  {name}:\n"),
            f"17:3: units.{name}: name of a unit must be a letter followed by at most 63 letters, digits, '_' or '-', "
            f"and none of host, dma, memory, buffers, total, not '{name}'",
        )
        for name in ("memory", "buffers", "total", "dma", "host")
    },
    "narrow activations": (
        ("act_width: 8", "act_width: 7"),
        "7:3: units.matrix: product must run on a unit of INT8 activations, as norms give them, and matrix takes "
        "integers of 7 bits",
    ),
    "floats": (
        ("act_width: 8", "act_width: 16\n      activation: fp16\n      reduction: adder_tree"),
        "7:3: units.matrix: product must run on a unit of INT8 activations, as norms give them, and matrix takes "
        "floats",
    ),
    "too deep": (("  layers: 4\n", "  layers: 1001\n"), "44:3: model.layers: layers must be at most 1000, not 1001"),
    "family": (
        ("family: ternary_lut", "family: ternary_lot"),
        "8:5: units.matrix.family: Family must be one of streaming_attention, systolic, ternary_lut, vector, not "
        "'ternary_lot'; did you mean 'ternary_lut'?",
    ),
    "parameter": (
        ("mu: 3", "mu: 9"),
        "10:7: units.matrix.parameters.mu: Parameter 'mu' must be an integer from 1 to 6, not 9",
    ),
    "head dimension": (
        ("      dim: 32", "      dim: 64"),
        "20:7: units.attention.parameters.dim: unit attention must run attention: Attention dim must be 64, the "
        "design's dim, not 32",
    ),
    "heads": (
        ("heads_max: 8", "heads_max: 4"),
        "24:7: units.attention.parameters.heads_max: unit attention must run attention: Attention heads must be at "
        "most heads_max 4, not 8",
    ),
    "context": (
        ("keys_max: 256", "keys_max: 255"),
        "23:7: units.attention.parameters.keys_max: unit attention must run attention: Attention keys must be at "
        "most keys_max 255, not 256",
    ),
    "mask": (
        ("      mask: causal\n", ""),
        "19:5: units.attention.parameters.mask: unit attention must run attention: Attention mask must be none for a "
        "design of mask none, not causal",
    ),
    "shallow FIFO": (
        ("      mask: causal\n", "      mask: causal\n      short_depth: 1\n"),
        "19:5: units.attention.parameters.long_depth: unit attention must run attention: FIFOs must be deep enough for "
        "full speed, 0 for that depth; the simulator knows the cycles of others",
    ),
    "reduction": (
        ("k_max: 768", "k_max: 767"),
        "14:7: units.matrix.parameters.k_max: unit matrix must run down: Gemm k must be at most k_max 767, not 768",
    ),
    "weights of the head": (
        ("stage: ternary", "stage: int8"),
        "7:3: units.matrix: head must run on a unit of int8 weights, and the largest weight of matrix is 1",
    ),
    "ternary head on a host": (
        ("positions, sampling]\n", "positions, sampling, head]\n  bandwidth_gb_s: 1\n"),
        "41:8: head.stage: stage must be int8 where the host runs the head, not ternary",
    ),
    "inexact head": (
        ("candidates: 32", "candidates: 0"),
        "40:24: head.candidates: candidates must be at least 1 for a ternary stage, whose scores are not exact, not 0",
    ),
    "stage": (
        ("stage: ternary", "stage: ternery"),
        "40:8: head.stage: stage must be one of ternary, int8, exact, not 'ternery'; did you mean 'ternary'?",
    ),
    "weights buffer": (
        ("weights: 16384", "weights: 128"),
        "30:11: buffers.weights: weights must be at least 256 bytes, two bursts of 1 ports, not 128",
    ),
    "activations": (
        ("activations: 65536", "activations: 57343"),
        "30:40: buffers.activations: activations must be at least 57344 bytes, 1792 elements of 4 bytes for a block "
        "of 8, not 57343",
    ),
    "memory": (
        ("size_mib: 16", "size_mib: 1"),
        "32:3: memory.size_mib: size_mib must be at least 2 for the largest model with its cache, not 1",
    ),
    "burst": (
        (MEMORY.format(4096, 64, 16), MEMORY.format(16384, 1024, 33)),
        "36:3: memory.burst: burst must be at most 32 beats of 1024 bits, the 4096 bytes that AXI4 allows, not 33",
    ),
    "width": (
        ("  width: 64\n", "  width: 48\n"),
        "35:3: memory.width: width must be one of 32, 64, 128, 256, 512, 1024, the widths of AXI4, not 48",
    ),
    "key heads": (
        ("kv_heads: 4", "kv_heads: 3"),
        "46:3: model.kv_heads: kv_heads must divide the 8 heads, not be 3",
    ),
    "block": (
        ("block: 8", "block: 257"),
        "50:3: model.block: block must be at most the context 256, not 257",
    ),
    "key": (
        ("hidden: 256", "hiden: 256"),
        "42:3: model.hiden: key must be 'hidden', not 'hiden'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_does_not_fit_together_is_said_in_one_sentence(what: str, tmp_path: Path) -> None:
    edit, expected = REFUSED[what]
    found = refusal(edited(tmp_path, edit))
    assert found == expected


def test_a_block_of_a_system_without_a_host_leaves_the_last_token_and_fits_its_register() -> None:
    def said(system: System, block: int) -> list[str]:
        found = rules.faults(replace(system, block=block))
        return [fault.message for fault in found if fault.path == ("model", "block")]

    names = ("edge_2b4t", "tiny_decoder", "hbm_2b4t")
    edge, tiny, hosted = (read_system(EXAMPLES / name / "system.yaml") for name in names)
    told = (
        "block must be at most {} in a system without a host: its hardware counts to 256, and the last token of the "
        "context {} goes alone, not {}"
    )
    register, alone = told.format(256, 4096, 257), told.format(255, 256, 256)
    assert (said(edge, 256), said(edge, 257)) == ([], [register])
    assert (said(tiny, 255), said(tiny, 256)) == ([], [alone])
    assert said(tiny, 4096) == [told.format(255, 256, 4096)], "one limit, however far beyond"
    assert said(replace(tiny, largest=replace(tiny.largest, context=1)), 1) == []
    assert said(hosted, 257) == said(hosted, hosted.largest.context) == []


def test_a_model_that_is_too_large_is_refused() -> None:
    system = preset("edge_2b4t")
    for name, words in {
        "falcon3_1b": "ffn of falcon3_1b must be at most 6912, the largest of edge_2b4t, not 8192",
        "bitnet_1b3": "heads of bitnet_1b3 must be at most 20, the largest of edge_2b4t, not 32",
        "tiny": "head_dim of tiny must be 128, that of edge_2b4t, not 16",
    }.items():
        with pytest.raises(ParamError, match=f"^{re.escape(words)}$"):
            rules.check_model(system, models.load(name))


@pytest.mark.parametrize(
    ("context", "prompt", "words"),
    [
        (256, 0, "context must be at most 255 for tiny_decoder on tiny_decoder, not 256"),
        (0, 257, "prompt must be at most 256 for tiny_decoder on tiny_decoder, not 257"),
    ],
)
def test_a_context_that_is_too_long_is_refused(context: int, prompt: int, words: str) -> None:
    system = preset()
    with pytest.raises(ParamError, match=f"^{re.escape(words)}$"):
        rules.check_model(system, system.largest, context, prompt)
    rules.check_model(system, system.largest, min(context, 255), min(prompt, 256))


def test_the_products_of_a_token_are_those_of_the_model() -> None:
    system, model = read_system(HOSTED_2B4T), models.load("bitnet_2b4t")
    ops = operations.decode(system, model, 1023)
    products = Counter((op.name, op.inputs, op.outputs) for op in ops if op.kind == "product")
    assert products == {(gemm.name, gemm.k, gemm.n): gemm.count for gemm in layers(model, "decode")}
    assert sum(op.macs for op in ops if op.kind == "product") == model.ternary_weights
    (whole,) = attention(model, "decode", 1, 1023)
    assert sum(op.macs for op in ops if op.kind == "attention") == whole.macs
    # Beats of 64 x 20 weights, 5 of them a byte; a scale of 2 bytes for each of 210 matrices
    beats = sum(gemm.count * (gemm.k // 64) * -(-gemm.n // 20) for gemm in layers(model, "decode"))
    assert sum(op.weights for op in ops if op.kind == "product") == 256 * beats + 2 * 7 * 30
    # INT8 keys and values of every position; the scales of heads are read with every layer's attention
    assert sum(op.cache_read for op in ops) == 1024 * model.kv_bytes_per_token()
    assert sum(op.cache_written for op in ops) == model.kv_bytes_per_token()
    assert sum(op.weights for op in ops if op.kind == "attention") == 30 * 2 * 5 * 2
    assert sum(op.weights for op in ops if op.name == "rescore") == 256 * 2560 * 2


def test_the_order_of_a_layer_and_of_the_choice() -> None:
    ops = operations.decode(preset(), preset().largest, 10)
    assert [op.name for op in ops if op.layer == 1] == [
        *("input norm", "q", "k", "v", "positions", "attention", "attention norm", "o", "attention residual"),
        *("post norm", "up", "up scale", "gate", "activation", "down", "ffn residual"),
    ]
    assert [op.name for op in ops if op.layer < 0] == ["embedding", "final norm", "head", "rescore", "sample"]
    for op in ops:
        names = op.chain.split("+") if op.chain else []
        assert names == [name for name in OPERATIONS if name in names]


def test_models_without_sub_norms_or_gates_lack_their_operations(tmp_path: Path) -> None:
    path = edited(tmp_path, ("  block: 8", "  block: 8\n  sub_norms: false\n  gated: false"))
    ops = {op.name: op for op in operations.decode(read_system(path), read_system(path).largest, 0)}
    assert "gate" not in ops and "up scale" not in ops
    assert ops["attention norm"].chain == "quantize"
    assert ops["activation"].chain == "dequantize+gate+quantize"
    assert ops["attention norm"].weights == 0


@pytest.mark.parametrize("prompt", [1, 7, 8, 9, 20])
def test_a_prompt_goes_in_blocks_and_ends_in_one_choice(prompt: int) -> None:
    system = preset()
    ops = operations.prefill(system, system.largest, prompt)
    assert sum(op.rows for op in ops if op.name == "q") == 4 * prompt
    assert [op.name for op in ops].count("sample") == 1
    queries = [op.task for op in ops if op.kind == "attention" and op.layer == 0]
    assert sum(task.pairs for task in queries) == prompt * (prompt + 1) // 2  # type: ignore[union-attr]
    written = operations.cache_bytes(system, system.largest, prompt) * 4
    assert sum(op.cache_written for op in ops) == written


def test_a_wide_product_is_several_runs() -> None:
    system = read_system(HOSTED_2B4T)
    head = operations.head_product(system, system.largest)
    assert (head.runs, head.task.n) == (19, 6751)  # type: ignore[union-attr]
    assert head.runs * 6751 >= 128_256 > (head.runs - 1) * 6912


@pytest.mark.parametrize("name", PRESETS)
def test_regions_do_not_overlap_and_hold_what_a_token_reads(name: str) -> None:
    system = preset(name)
    found = address_map.regions(system, system.largest)
    assert found[0].base == 0 and all(one.end == other.base for one, other in pairwise(found))
    assert all(region.base % address_map.PAGE == region.size % address_map.PAGE == 0 for region in found)
    assert found[-1].end <= system.memory.size
    sizes = {region.name: region.size for region in found}
    ops = operations.decode(system, system.largest, system.largest.context - 1)
    read = Counter[str]()
    for op in ops:
        what = {"product": "weights", "head": "head", "positions": "angles"}.get(op.kind, "norms")
        read[what] += op.weights * (not op.gathered)
        read["cache"] += op.cache_read
    scales = 2 * sum(op.kind == "product" for op in ops)
    assert read["weights"] - scales <= sizes["weights"] and read["norms"] + scales <= sizes["norms"]
    angles = sizes.get("angles", 0) // system.largest.context  # of a position; every head reads them
    assert {op.weights for op in ops if op.kind == "positions"} <= {0, *(angles * op.rows for op in ops)}
    tied = "head" not in sizes  # an exact head reads the rows of the embedding
    assert read["head"] <= sizes["embedding" if tied else "head"] and read["cache"] <= sizes["cache"]


def test_what_families_say_about_weights_and_cache() -> None:
    edge = preset("edge_2b4t")
    assert [(unit.spec.largest_weight, unit.spec.cache_width) for unit in edge.units.values()] == [
        (1, 0),
        (0, 8),
        (0, 0),
    ]
    assert edge.spec("positions") is edge.units["vector"].spec
    assert read_system(HOSTED_2B4T).spec("positions") is None


def test_a_host_gives_attention_the_floats_that_it_takes(tmp_path: Path) -> None:
    formats = "      mask: causal\n      format: bf16\n      acc_format: fixed\n"
    wide, plain = read_system(edited(tmp_path, ("      mask: causal\n", formats))), read_system(HOSTED)
    assert operations.cache_bytes(wide, wide.largest, 3) == 2 * operations.cache_bytes(
        plain, plain.largest, 3
    )
    read = [
        sum(op.cache_read for op in operations.decode(system, system.largest, 9)) for system in (wide, plain)
    ]
    assert read == [read[0], read[0] // 2]


@pytest.mark.parametrize("name", PRESETS)
def test_the_diagram_has_a_box_for_every_part(name: str) -> None:
    system = preset(name)
    root = ElementTree.fromstring(svg(system))
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    host = {"host"} if system.host else set()
    assert {*system.units, *host, "external memory", "weights buffer", "cache buffer"} <= texts
    boxes = list(root.iter("{http://www.w3.org/2000/svg}rect"))
    assert len(boxes) == len(system.units) + len(host) + 5
