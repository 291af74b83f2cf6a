"""What a compiled model consists of, counted a second time: vectors in memory, tiles, loads of the head, listings."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.systems.address_map import PAGE
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import Instruction
from checkpoints.decoder import HALF, PAIRS
from checkpoints.reference import Reference
from compiler import calibration, image, passes
from compiler.builder import Builder, Moved
from compiler.compile import Plan, compile_model, compile_shapes
from compiler.contents import Contents
from compiler.layout import Constants, Layout, contained
from compiler.plan import UNGATED, Machine, Shapes, Table, Tile, reserve
from compiler.prompts import DECODE, turns
from compiler.purpose import Purpose
from tests import records
from tests.systems import small

SCALES = "vector.x.weight_scale"


def head_loads(
    hardware: Hardware, monkeypatch: pytest.MonkeyPatch, **shapes: Any
) -> tuple[Plan, list[tuple[str, Moved, bool, bool]]]:
    """Loads for the scores of the decoding pass: field, transfer, ``last`` and ``narrow``."""
    found: list[tuple[str, Moved, bool, bool]] = []
    load = Builder.load

    def noted(
        self: Builder, name: str, moved: Moved, *, last: bool = True, free: bool = False, narrow: bool = False
    ) -> None:
        if self.purpose.step == "scores" and name != "vector.gain.gain":
            found.append((name, moved, last, narrow))
        load(self, name, moved, last=last, free=free, narrow=narrow)

    monkeypatch.setattr(Builder, "load", noted)
    return compile_shapes(hardware, dataclasses.replace(small.MODEL, **shapes)), found


def hardware(embedding: int, **options: Any) -> Hardware:
    return small.hardware(embedding=embedding, vector=small.vector(rows_max=4096), **options)


@pytest.mark.parametrize(
    ("most", "counts"),
    [(1 << 16, [90]), (100, [1] * 90), (128 * 40, [40, 40, 10]), (128 * 41 - 1, [40, 40, 10])],
)
def test_rows_of_the_head_are_loaded_in_pieces_of_so_many_bytes(
    most: int, counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row has 32 elements of 4 bytes; a row longer than a piece is a piece of its own."""
    monkeypatch.setattr(passes, "_HEAD_BYTES", most)
    plan, loads = head_loads(hardware(16), monkeypatch, vocab=90)
    base = plan.layout["embedding"].base
    rows = [(moved, last) for name, moved, last, _ in loads if name == "vector.x.x"]
    firsts = [sum(counts[:place]) for place in range(len(counts))]
    assert [(m.address, m.row_bytes, m.rows, m.stride) for m, _ in rows] == [
        (base + 128 * first, 128, count, 128) for first, count in zip(firsts, counts, strict=True)
    ]
    assert [last for _, last in rows] == [False] * (len(counts) - 1) + [True]
    ones = [(name, moved.row_bytes, moved.rows) for name, moved, *_ in loads if name.endswith("scale")]
    assert ones == [(SCALES, 4, 1), ("vector.x.row_scale", 4, 1)]


def test_a_piece_of_the_head_has_64_kib(monkeypatch: pytest.MonkeyPatch) -> None:
    _, loads = head_loads(hardware(16), monkeypatch, vocab=2100)
    assert [moved.rows for name, moved, *_ in loads if name == "vector.x.x"] == [512, 512, 512, 512, 52]


@pytest.mark.parametrize("tied", [True, False])
def test_rows_of_integers_come_with_their_scales(tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In front of every piece: a scale for each of its rows, and as many ones."""
    plan, loads = head_loads(hardware(8), monkeypatch, vocab=1000, tied_embeddings=tied)
    role = "embedding" if tied else "head"
    each = Machine(plan.hardware, plan.model).scales_at_once
    assert 0 < each < 1000
    pieces = [(first, min(each, 1000 - first)) for first in range(0, 1000, each)]
    container = plan.layout[role].size // 1000 // 32
    assert [(name, m.address, m.row_bytes, m.rows) for name, m, *_ in loads] == [
        one
        for first, count in pieces
        for one in (
            (SCALES, plan.layout[f"{role} scales"].base + 4 * first, 4 * count, 1),
            ("vector.x.row_scale", plan.layout["ones"].base, 4 * count, 1),
            ("vector.x.x", plan.layout[role].base + 32 * container * first, 32 * container, count),
        )
    ]


@pytest.mark.parametrize("width", [32, 64, 128])
def test_scales_at_once_fill_half_of_their_fifo(width: int) -> None:
    """A word of the FIFO has the bytes of a beat of the port, and a scale four."""
    built = small.hardware(width=width, embedding=8)
    [scale] = [field for field in built.inputs if field.name == SCALES]
    scales_of_a_word = width // 8 // 4
    assert Machine(built, small.MODEL).scales_at_once == scale.depth * scales_of_a_word // 2
    if width == 32:
        ones = compile_shapes(built, small.MODEL).layout["ones"]
        assert ones.size == PAGE * math.ceil(4 * scale.depth * scales_of_a_word / 2 / PAGE)


@pytest.mark.parametrize("name", small.PRODUCTS)
def test_tiles_are_even_and_of_whole_columns(name: str) -> None:
    machine = Machine(small.hardware(name), small.MODEL)
    step = machine.product.result.elements
    for product, (_, n) in {each: machine.shapes.product(each) for each in machine.tiles}.items():
        tiles = machine.cut(product)
        sizes = [size for _, size in tiles]
        assert [first for first, _ in tiles] == [sum(sizes[:place]) for place in range(len(sizes))]
        assert sum(sizes) == n and len(set(sizes[:-1])) <= 1
        assert all(size % step == 0 and 0 < size <= machine.tiles[product] for size in sizes)
        least = math.ceil(n / machine.tiles[product])
        assert sizes[0] == step * math.ceil(n / step / least)


def test_a_tile_that_is_moved_lies_so_many_bytes_further_on() -> None:
    tile = Tile(1, "q", 4, 32, 8, 4096, 6, 96)
    assert tile.moved(64) == Tile(1, "q", 4, 32, 8, 4096 + 64, 6, 96)


def test_sizes_of_products_are_those_of_their_matrices() -> None:
    for gated in (True, False):
        model = dataclasses.replace(small.MODEL, gated=gated, sub_norms=False)
        shapes = Shapes(model)
        rows = {"q": 32, "k": 16, "v": 16, "o": 32, "up": 64, "gate": 64, "down": 32}
        inputs = {"kv": 32, "q": 32, "o": 32, "ffn": 32, "down": 64}
        for product, k in inputs.items():
            assert shapes.product(product) == (k, sum(rows[role] for role in shapes.roles(product)))
        assert shapes.matrices == set(rows) - ({"gate"} if not gated else set())
        assert shapes.roles("ffn") == (("up", "gate") if gated else ("up",))
        assert (shapes.query, shapes.keys) == (32, 16)


def test_operations_on_rows_of_integers_begin_with_their_scale() -> None:
    for integers, wanted in ((False, ["copy", "dot", "norm+quantize"]), (True, [
        "dequantize", "dequantize+dot", "dequantize+norm+quantize",
    ])):  # fmt: skip
        table = Table(1, True, integers)
        assert [table.chain(each) for each in ("copy", "dot", "norm+quantize")] == wanted


@pytest.mark.parametrize("block", [1, 4])
@pytest.mark.parametrize("gated", [True, False])
def test_memory_has_a_place_for_every_vector_of_every_token_of_a_block(block: int, gated: bool) -> None:
    """Bytes of an element: 2 of numbers, 4 of results of attention, 1 of integers; regions in units of 64 bytes."""
    model = dataclasses.replace(small.MODEL, gated=gated)
    built = small.hardware()
    built = dataclasses.replace(built, block=block) if block > 1 else built
    machine = Machine(built, model)
    number, sums = machine.rows.out.container, machine.product.result.container
    assert (machine.block, number) == (block, 2)
    layout = Layout()
    reserve(layout, machine)
    sizes = {f"residual {place}": 32 * number for place in range(3)}
    sizes |= {"kv in": 32, "kv scale": 4, "kv sums": 32 * sums, "q sums": 32 * sums}
    sizes |= {"o in": 32, "o scale": 4, "o sums": 32 * sums, "ffn in": 32, "ffn scale": 4}
    sizes |= {
        "ffn sums": (128 if gated else 64) * sums,
        "down in": 64,
        "down scale": 4,
        "down sums": 32 * sums,
    }
    sizes |= {"queries": 32, "mixed": 32 * 4} | ({"up": 64 * number} if gated else {})
    found = {name: region.size for name, region in layout.regions.items()}
    wanted = {"tokens": 64 * math.ceil(4 * (model.context + 1) / 64)}
    wanted |= {name: block * 64 * math.ceil(size / 64) for name, size in sizes.items()}
    wanted["last"] = 64 * math.ceil(32 * number / 64)
    for layer in range(2):
        wanted |= {f"{name} {layer}": PAGE * math.ceil(12 * 16 / PAGE) for name in ("keys", "values")}
    assert found == wanted


def test_regions_follow_each_other_and_what_runs_write_comes_first() -> None:
    layout = Layout()
    assert layout.reserve("a", 65, "").base == 0
    assert (layout.reserve("b", 1, "").base, layout.reserve("c", 1, "", page=True).base) == (128, PAGE)
    assert layout.reserve("d", 64, "").base == 2 * PAGE
    placed = layout.place("e", np.arange(4, dtype=np.uint8).reshape(2, 2), "")
    assert (placed.base, placed.size, layout.base) == (3 * PAGE, PAGE, 3 * PAGE)
    assert layout.place("f", PAGE + 1, "").size == 2 * PAGE
    layout.place("g", np.array([7], np.uint8), "")
    data = layout.image()
    assert data.size == 4 * PAGE and data[:4].tolist() == [0, 1, 2, 3] and data[3 * PAGE] == 7
    assert int(data.sum()) == 6 + 7
    with pytest.raises(ValueError, match="^Region h must be reserved before those with contents$"):
        layout.reserve("h", 1, "")


def test_constants_have_places_of_their_own() -> None:
    found = Constants()
    assert [found.numbers(1.0), found.words(3, 4), found.numbers(1.0, -2.0)] == [0, 4, 12]
    wanted = np.array([1.0, 0, 0, 1.0, -2.0], "<f4")
    wanted.view("<u4")[1:3] = (3, 4)
    assert found.data().tolist() == wanted.view(np.uint8).tolist()


@pytest.mark.parametrize(("container", "kind"), [(1, "<i1"), (2, "<i2"), (4, "<i4"), (8, "<i8")])
def test_elements_stand_in_their_containers(container: int, kind: str) -> None:
    values = np.array([[-1, 2], [-128, 127]])
    assert contained(values, container).tobytes() == values.astype(kind).tobytes()


@pytest.mark.parametrize(
    ("given", "size", "span"),
    [
        ({}, 8, (100, 108)),
        ({"rows": 3, "stride": 16}, 24, (100, 140)),
        ({"rows": 3, "stride": 0}, 24, (100, 108)),
        ({"rows": 0}, 0, (100, 108)),
        ({"rows": 2, "most_rows": 12, "stride": 8}, 96, (100, 116)),
        ({"rows": 12, "most_rows": 2, "stride": 8}, 96, (100, 196)),
        ({"rows": 3, "stride": 16, "touched": (96, 960)}, 24, (96, 960)),
    ],
)
def test_a_transfer_has_its_bytes_and_those_that_it_may_touch(
    given: dict[str, Any], size: int, span: tuple[int, int]
) -> None:
    moved = Moved(100, 8, **given)
    assert (moved.size, moved.span) == (size, span)


# Contents -----------------------------------------------------------------------------------------------------------


def test_heads_of_queries_and_keys_have_rotated_pairs_side_by_side() -> None:
    """Element i of a head pairs with i + 4 of its 8; other matrices, and pairs of neighbors, stay as they are."""
    trained = small.checkpoint()
    for rotary in (HALF, PAIRS):
        given = dataclasses.replace(trained, decoder=dataclasses.replace(trained.decoder, rotary=rotary))
        found = Contents(given, ())
        for role in ("q", "k", "v", "o"):
            codes, placed = trained.matrix(1, role).codes, found.codes(1, [role])
            order = [0, 4, 1, 5, 2, 6, 3, 7] if rotary == HALF and role in "qk" else range(8)
            rows = [8 * head + place for head in range(len(codes) // 8) for place in order]
            assert np.array_equal(placed, codes[rows]), (rotary, role)
        both = found.codes(0, ["up", "gate"])
        assert np.array_equal(both[:64], trained.matrix(0, "up").codes)
        assert np.array_equal(both[64:], trained.matrix(0, "gate").codes)
        assert found.scale(0, "up") == float(trained.matrix(0, "up").multiplier[0, 0])


def test_angles_are_those_of_every_pair_at_every_position() -> None:
    trained = small.checkpoint()
    found = Contents(trained, ()).tensor(None, "angles")
    assert found.shape == (12, 8)
    for position in range(12):
        for pair in range(4):
            angle = position / trained.decoder.rope_theta ** (pair / 4)
            wanted = (math.cos(angle), math.sin(angle))
            assert found[position, 2 * pair : 2 * pair + 2].tolist() == pytest.approx(wanted, abs=1e-5)


def test_rows_of_a_table_become_integers_by_their_largest_magnitude() -> None:
    trained = small.checkpoint()
    table = np.array(trained.dense[None, "embedding"].read())
    integers, scale = Contents(trained, ()).rows("embedding")
    assert scale == pytest.approx([max(abs(float(value)) for value in row) / 127 for row in table])
    assert np.abs(integers).max(axis=1).tolist() == [127] * 40
    assert np.abs(integers * scale[:, None].astype(float) - table).max() <= 0.5001 * float(scale.max())
    assert Contents(trained, ()).tensor(None, UNGATED).tolist() == [1.0] * 64


@pytest.mark.parametrize("name", small.PRODUCTS)
def test_tiles_lie_one_behind_the_other_with_the_beats_of_their_codes(name: str) -> None:
    trained = small.checkpoint()
    plan = compile_model(small.hardware(name), trained, calibration.measure(trained, [[3]]))
    at, spec, contents = plan.layout["weights"].base, small.product(name), Contents(trained, ())
    data, base = plan.layout.image(), plan.layout.base
    shapes, order = Shapes(small.MODEL), []
    for tile in plan.tiles:
        codes = contents.codes(tile.layer, shapes.roles(tile.product))[tile.first : tile.first + tile.n]
        act = np.zeros((1, tile.k), np.int64)
        beats = np.asarray(spec.stimulus({"act": act, "wgt": codes.T.astype(np.int64)})["wgt"])
        assert (tile.address, tile.beats, tile.k) == (at, len(beats), shapes.product(tile.product)[0])
        stored = data[at - base : at - base + tile.size].reshape(tile.beats, -1)
        assert np.array_equal(stored[:, : beats.shape[1]], beats) and not stored[:, beats.shape[1] :].any()
        at += tile.size
        order.append((tile.layer, tile.product))
    assert list(dict.fromkeys(order)) == [
        (n, each) for n in (0, 1) for each in ("kv", "q", "o", "ffn", "down")
    ]


def test_every_position_of_a_prompt_has_a_pass_and_the_last_one_chooses() -> None:
    """Blocks cover the others without a gap; where they are no whole number, the second overlaps the first."""
    for prompt, count, block in itertools.product(range(1, 14), (1, 3), (1, 2, 4, 5)):
        found = turns(prompt, count, block)
        chosen = [turn.position for turn in found if turn.program == DECODE]
        assert chosen == list(range(prompt - 1, prompt - 1 + count))
        others = [turn for turn in found if turn.program != DECODE]
        wide = block if 1 < block <= prompt - 1 else 1
        assert {turn.program for turn in others} <= {"block" if wide > 1 else "prompt"}
        assert len(others) == math.ceil((prompt - 1) / wide)
        begins = [turn.position for turn in others]
        assert all(turn.position + turn.step == after.position for turn, after in itertools.pairwise(found))
        assert not others or (begins[0], begins[-1] + wide) == (0, prompt - 1)
        assert all(step == wide for step in np.diff(begins)[1:])
        assert found[-1].step == 1


# Listings -----------------------------------------------------------------------------------------------------------


def test_a_listing_has_a_line_for_every_instruction() -> None:
    """Columns by hand; no cycles are shown where none are known, and 0 where there are 0."""
    program = (Instruction("set", "matrix", (), (), 3, 7), Instruction("start", "load"), Instruction("end"))
    notes = [
        (Purpose("L0", "q", "from 0"), 0),
        (Purpose("L0", "q", "from 0", True), 4096),
        (Purpose("", "end"), 0),
    ]
    one = image.Image(
        0, np.zeros(0, np.uint8), {"decode": program}, {"decode": 5}, {"decode": notes}, 0, 1, 1, ""
    )
    words = [f"{each.encode():016x}" for each in program]
    texts = [str(each) for each in program]
    assert image.listing(one, {"decode": [0, 123456, -1]}).splitlines() == [
        "; program decode, page 5, 3 instructions",
        "; number  word              bytes  cycles  for                       instruction",
        f"       0  {words[0]}              0  L0 q from 0               {texts[0]}",
        f"       1  {words[1]}   4096  123456  L0 weights of q from 0    {texts[1]}",
        f"       2  {words[2]}                 end                       {texts[2]}",
    ]
    plain = image.listing(one, {}).splitlines()
    assert plain[2:] == [
        f"       0  {words[0]}                 L0 q from 0               {texts[0]}",
        f"       1  {words[1]}   4096          L0 weights of q from 0    {texts[1]}",
        f"       2  {words[2]}                 end                       {texts[2]}",
    ]


def test_an_image_says_what_a_host_has_to_know(tmp_path: Path) -> None:
    trained = small.checkpoint()
    found = compile_model(small.hardware(), trained, calibration.measure(trained, [[3, 17]]))
    one = image.of_compiled(found)
    said = image.described(found, one, "a text")
    base = found.layout[next(iter(found.layout.contents))].base
    assert (said["base"], said["bytes"], said["memory_bytes"]) == (base, one.data.size, found.layout.end)
    assert (said["context"], said["vocab"], said["calibrated_on"], said["model"]) == (
        12,
        40,
        "a text",
        "small",
    )
    assert said["tokens"] == found.layout["tokens"].base
    for program in found.programs:
        listed = said["programs"][program.name]
        assert listed["page"] * PAGE == found.layout[program.region].base
        assert listed["instructions"] == len(program.instructions) == len(listed["notes"])
    assert said["regions"] == [dataclasses.asdict(region) for region in found.layout.regions.values()]
    assert said["steps"] == [dataclasses.asdict(step) for step in found.steps]
    assert one.end == one.base + one.data.size


# Steps of integers ----------------------------------------------------------------------------------------------------


def test_steps_are_the_largest_magnitudes_over_127() -> None:
    """Of all windows, of each key head with its queries, and of all heads for what attention gives."""
    trained = small.checkpoint()
    seen: dict[tuple[int, str], list[np.ndarray]] = {}
    windows = [[3, 17, 5], [39, 0]]
    for window in windows:
        Reference(
            trained, lambda layer, what, v: seen.setdefault((layer, what), []).append(np.array(v))
        ).logits(window)
    found = calibration.measure(trained, windows)
    assert len(found) == 2
    for layer, steps in enumerate(found):
        for what, given in (
            ("q", steps.query),
            ("k", steps.key),
            ("v", steps.value),
            ("mixed", (steps.mixed,)),
        ):
            heads = [np.abs(values).max(axis=(0, 2)) for values in seen[layer, what]]
            peaks = np.maximum(*heads).reshape(len(given), -1).max(axis=1)
            assert given == pytest.approx([max(float(peak), 1e-5) / 127 for peak in peaks], rel=1e-6)
    narrow = found[0].cached(7)
    assert narrow.key == pytest.approx([step * 127 / 7 for step in found[0].key])
    assert narrow.value == pytest.approx([step * 127 / 7 for step in found[0].value])
    assert (narrow.query, narrow.mixed) == (found[0].query, found[0].mixed)


def test_windows_of_a_text_do_not_overlap() -> None:
    assert calibration.windows(range(7), 3) == [[0, 1, 2], [3, 4, 5], [6]]
    assert calibration.windows([], 3) == []


def test_a_text_of_its_own_has_windows_of_the_context() -> None:
    """As many as the tokens need, and each told of as it grows; the same text for the same seed."""
    told: list[tuple[int, int]] = []
    text = calibration.own_text(small.checkpoint(), 20, told=lambda done, total: told.append((done, total)))
    assert [len(window) for window in text] == [12, 12]
    assert told == [(done, 20) for done in [*range(2, 13), *range(14, 25)]]
    assert text == calibration.own_text(small.checkpoint(), 20)
    assert text != calibration.own_text(small.checkpoint(), 20, seed=1)
    assert [len(window) for window in calibration.own_text(small.checkpoint(), 5)] == [5]
    assert {token for window in text for token in window} <= set(range(40))
    assert (calibration.TOKENS, calibration.MARGIN) == (256, 1.0)


def test_records_of_the_compiler_do_not_change() -> None:
    trained = small.checkpoint()
    found = compile_model(small.hardware(), trained, calibration.measure(trained, [[3]]))
    assert str(found.program(DECODE).notes[0][0]) == "- token"
    assert records.changeable("compiler") == {"Layout", "_Draft", "_Held"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.steps[0].mixed = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(("width", "cycles"), [(64, 16), (128, 8)])
def test_a_vector_unit_that_is_slower_than_memory_is_refused(width: int, cycles: int) -> None:
    """A row of 32 elements of 4 bytes comes in so many beats of the port, and the vector unit takes 23 cycles."""
    message = f"The vector unit must take a row of the head in {cycles} cycles, as fast as memory gives it"
    with pytest.raises(ParamError) as caught:
        compile_shapes(small.hardware(width=width, embedding=8), small.MODEL)
    assert str(caught.value) == f"{message}, and takes 23: give the memory a narrower port"
