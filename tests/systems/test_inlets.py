"""Staging of inputs in hardware: narrow containers, and what goes round for all rows of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from blueprint.systems import staging
from blueprint.systems.control import Inlets
from generator.systems.staging import Inlet
from tests.generator.cells.flat import play
from tests.systems.small import product, vector

PORT = 64
#: Cycles of a bench.
CYCLES = 400


def field(name: str, embedding: int = 16, width: int = PORT, **parameters: Any) -> staging.Staged:
    units = {"vector": vector(**parameters)}
    return next(one for one in staging.inputs(units, width, embedding=embedding) if one.name == name)


def beats(values: Sequence[int], container: int) -> list[int]:
    """Beats of the memory with these elements."""
    data = np.array(values, np.int64).astype(f"<i{container}").tobytes()
    return [int.from_bytes(data[at : at + PORT // 8], "little") for at in range(0, len(data), PORT // 8)]


def words(values: Sequence[int], shape: Inlets) -> list[int]:
    """Beats of the field with these elements."""
    mask = (1 << shape.element_bits) - 1
    groups = [values[at : at + shape.elements] for at in range(0, len(values), shape.elements)]
    return [sum((one & mask) << place * shape.element_bits for place, one in enumerate(g)) for g in groups]


def moved(
    inlet: Inlet, loads: Sequence[tuple[list[int], bool]], count: int, turns: int = 0
) -> tuple[list[int], list[int]]:
    """Load after load, narrow or not, each the last of a run; returns ``count`` words, and where runs end."""
    found: list[int] = []
    ends: list[int] = []

    async def story(ctx: Any) -> None:
        queue = [
            (beat, at == len(given) - 1, narrow) for given, narrow in loads for at, beat in enumerate(given)
        ]
        ctx.set(inlet.units, PORT // 32)
        ctx.set(inlet.last, 1)
        if inlet.shape.turns:
            ctx.set(inlet.turns, turns)
        for cycle in range(CYCLES):
            ctx.set(inlet.offered, bool(queue))
            if queue:
                ctx.set(inlet.beat, queue[0][0])
                ctx.set(inlet.final, queue[0][1])
                if inlet.shape.narrow_bits:
                    ctx.set(inlet.narrow, queue[0][2])
            takes = ctx.get(inlet.valid) and cycle % 3 > 0
            ctx.set(inlet.take, takes)
            if takes:
                found.append(ctx.get(inlet.word))
                if ctx.get(inlet.ends):
                    ends.append(len(found))
            if queue and ctx.get(inlet.ready):
                assert not ctx.get(inlet.broken)
                queue.pop(0)
            await ctx.tick()

    play(inlet, story)
    assert len(found) == count
    return found, ends


def numbers(count: int, bits: int, seed: int = 1) -> list[int]:
    random = np.random.default_rng(seed)
    found: list[int] = random.integers(-1 << (bits - 1), 1 << (bits - 1), count).tolist()
    return found


@pytest.mark.parametrize(("embedding", "lanes"), [(16, 4), (16, 8), (8, 8), (8, 16), (16, 16)])
def test_elements_in_narrow_containers_have_their_sign_above_them(embedding: int, lanes: int) -> None:
    """Between two loads in the containers of sums."""
    shape = Inlets(field("vector.x.x", embedding, lanes=lanes), PORT)
    assert shape.narrow_bits == embedding
    sums, rows = numbers(2 * lanes, 32), numbers(3 * lanes, embedding, 2)
    loads = [(beats(sums, 4), False), (beats(rows, embedding // 8), True), (beats(sums, 4), False)]
    found, ends = moved(Inlet("inlet", shape), loads, 7)
    assert found == words([*sums, *rows, *sums], shape)
    assert ends == [2, 5, 7]


class _Unsigned(Inlet):
    """A twin that puts zeros above the elements in narrow containers."""

    def _narrowed(self, m: Any) -> Any:
        self.shape.signed = False
        return super()._narrowed(m)


def test_zeros_above_elements_are_noticed() -> None:
    shape = Inlets(field("vector.x.x", 8, lanes=8), PORT)
    rows = numbers(8, 8)
    found, _ = moved(_Unsigned("inlet", shape), [(beats(rows, 1), True)], 1)
    assert found != words(rows, shape)


@pytest.mark.parametrize(("lanes", "length"), [(4, 4), (4, 8), (4, 20), (2, 16), (8, 32)])
@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_a_field_is_given_again_for_all_rows_and_ends_with_the_last(
    lanes: int, length: int, turns: int
) -> None:
    """Two runs: what is loaded for the second one comes behind all rows of the first one."""
    shape = Inlets(field("vector.gain.gain", lanes=lanes), PORT)
    first, second = numbers(length, 16), numbers(length, 16, 2)
    rows = max(1, turns)
    loads = [(beats(first, 2), False), (beats(second, 2), False)]
    found, ends = moved(Inlet("inlet", shape), loads, 2 * rows * length // lanes, turns)
    assert found == words([*first * rows, *second * rows], shape)
    assert ends == [rows * length // lanes, 2 * rows * length // lanes]


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
@pytest.mark.parametrize("name", ["tables", "keys", "array"])
def test_weights_are_given_to_several_runs_each_of_which_ends(name: str, turns: int) -> None:
    """Two tiles; the second one is loaded while the first one is given, so all of it is there at once behind it."""
    units = {"matrix": product(name)}
    (staged,) = (one for one in staging.inputs(units, PORT, block=4) if one.replays)
    shape = Inlets(staged, PORT)
    assert shape.turns and staged.stream == "wgt"
    beat, runs, count = shape.beat_bytes, max(1, turns), 8
    random = np.random.default_rng(3)
    tiles = [random.integers(0, 256, (count, beat), np.uint8) for _ in range(2)]
    loads = [(beats(tile.view(np.int8).reshape(-1).tolist(), 1), False) for tile in tiles]
    found, ends = moved(Inlet("inlet", shape), loads, 2 * runs * count, turns)
    mask = (1 << shape.bits) - 1
    given = [[int.from_bytes(row.tobytes(), "little") & mask for row in tile] for tile in tiles]
    assert found == given[0] * runs + given[1] * runs
    assert ends == [count * (run + 1) for run in range(2 * runs)]


class _Endless(Inlet):
    """A twin that ends every row."""

    def _parted(self, m: Any, result: Any, again: Any) -> Any:
        return super()._parted(m, result, again & 0)


def test_an_end_in_every_row_is_noticed() -> None:
    shape = Inlets(field("vector.gain.gain"), PORT)
    found, ends = moved(_Endless("inlet", shape), [(beats(numbers(8, 16), 2), False)], 4, 2)
    assert (len(found), ends) == (4, [2, 4])


@pytest.mark.parametrize(
    ("embedding", "width", "parameters", "narrow"),
    [
        (16, 64, {"lanes": 4}, 2),
        (8, 64, {"lanes": 8}, 1),
        (8, 32, {"lanes": 4}, 1),
        (8, 64, {"lanes": 4}, 2),  # eight elements a beat of the memory are more than the unit takes
        (16, 128, {"lanes": 4}, 0),
        (16, 64, {"lanes": 2}, 0),
        (16, 64, {"format": "fp32"}, 0),
        (8, 32, {"format": "fp32"}, 1),
        (12, 64, {"format": "bf16"}, 2),
    ],
)
def test_the_narrow_container_holds_the_embedding_and_a_beat_no_more_than_one_of_the_unit(
    embedding: int, width: int, parameters: dict[str, Any], narrow: int
) -> None:
    x = field("vector.x.x", embedding, width, **parameters)
    assert (x.container, x.narrow) == (4, narrow)
    if narrow:
        assert x.words(64 * narrow, width, narrow=True) == x.words(64 * 4, width) == 64 // x.elements


def test_only_rows_have_a_narrow_container_and_only_gains_repeat() -> None:
    fields = staging.inputs({"vector": vector()}, PORT)
    assert [one.name for one in fields if one.narrow] == ["vector.x.x"]
    assert [one.name for one in fields if one.repeats] == ["vector.gain.gain"]
    assert not any(one.repeats or one.narrow for one in staging.outputs({"vector": vector()}, PORT))


def test_scales_of_rows_have_room_where_the_embedding_is_of_integers() -> None:
    for name in ("vector.x.row_scale", "vector.x.weight_scale"):
        assert (field(name).depth, field(name, 8).depth) == (staging.LEAST_DEPTH, staging.SCALES)
