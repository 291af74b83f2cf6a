"""Staging of outputs in hardware: integers of the vector unit in bytes, and packed as the cache takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from amaranth.hdl import Cat, Value

from blueprint.systems import staging
from blueprint.systems.control import UNIT_BYTES, Outlets
from blueprint.systems.dma import Transfer
from generator.arithmetic.integers import parts
from generator.layout import bits
from generator.systems.staging import Outlet
from simulator.systems.machine import _Never
from tests.generator.cells.flat import play
from tests.systems.small import attention, vector

PORT = 64
#: Cycles of a bench.
CYCLES = 200


def shape(lanes: int, **given: int) -> Outlets:
    units = {"vector": vector(lanes=lanes), "attention": attention(**{"kv_width": 4, **given})}
    found = next(one for one in staging.outputs(units, PORT) if one.name == "vector.out.quantized")
    return Outlets(found, PORT)


def beats_of(
    outlet: Outlet, words: Sequence[int], asked: Sequence[tuple[bool, bool]], cycles: int
) -> list[int]:
    """Beats of the memory that words make, of which each is asked for: whether it ends a store, and is narrow."""
    found: list[int] = []

    async def story(ctx: Any) -> None:
        left, wanted = list(words), list(asked)
        ctx.set(outlet.needs, outlet.shape.port_bits // (8 * UNIT_BYTES))
        for cycle in range(cycles):
            ctx.set(outlet.write, bool(left) and bool(ctx.get(outlet.room)))
            ctx.set(bits(outlet.word), left[0] if left else 0)
            ctx.set(outlet.wanted, bool(wanted))
            if wanted:
                ctx.set(outlet.final, wanted[0][0])
                if len(outlet.narrow):
                    ctx.set(outlet.narrow, wanted[0][1])
            takes = ctx.get(outlet.valid) and cycle % 3 > 0
            ctx.set(outlet.take, takes)
            if takes:
                found.append(ctx.get(outlet.beat))
                assert not ctx.get(outlet.broken)
                wanted.pop(0)
            if left and ctx.get(outlet.room):
                left.pop(0)
            await ctx.tick()
        assert not left and not wanted

    play(outlet, story)
    return found


def stored(outlet: Outlet, runs: Sequence[tuple[list[int], bool]]) -> list[int]:
    """Store after store, narrow or not; returns the beats of the memory."""
    lanes = outlet.shape.elements
    words = [
        sum((one & 255) << 8 * place for place, one in enumerate(values[at : at + lanes]))
        for values, _ in runs
        for at in range(0, len(values), lanes)
    ]
    beats = [
        (at == count - 1, narrow)
        for values, narrow in runs
        for count in [len(values) * (4 if narrow else 8) // PORT]
        for at in range(count)
    ]

    return beats_of(outlet, words, beats, CYCLES)


def expected(values: Sequence[int], narrow: bool) -> list[int]:
    """Beats of the memory: integers saturated to 7 in both directions, or as they are."""
    bits = 4 if narrow else 8
    kept = [max(-7, min(7, one)) if narrow else one for one in values]
    whole = sum((one & ((1 << bits) - 1)) << bits * place for place, one in enumerate(kept))
    return [whole >> at & ((1 << PORT) - 1) for at in range(0, bits * len(values), PORT)]


#: Every integer of 8 bits, in an order in which neighbors are far apart.
INTEGERS = [one * 37 % 256 - 128 for one in range(256)]


@pytest.mark.parametrize("lanes", [2, 4, 8, 16, 32])
def test_integers_are_packed_between_stores_of_bytes(lanes: int) -> None:
    runs = [
        (INTEGERS[:32], False),
        (INTEGERS if lanes == 8 else INTEGERS[:64], True),
        (INTEGERS[32:64], False),
    ]
    found = stored(Outlet("outlet", shape(lanes)), runs)
    assert found == [beat for values, narrow in runs for beat in expected(values, narrow)]


def cycles(outlet: Outlet, size: int, narrow: bool) -> tuple[list[int], list[int]]:
    """Cycles in which a store of so many bytes takes beats that are there, of the hardware and of the machine."""
    lanes, whole = outlet.shape.elements, PORT // 8 // UNIT_BYTES
    beat = outlet.shape.staged.moved_bytes(narrow)
    model, found, said = _Never(), list[int](), list[int]()

    async def story(ctx: Any) -> None:
        ctx.set(outlet.write, 1)
        for _ in range(-(-size // beat)):
            ctx.set(bits(outlet.word), 5 * (1 << 8 * lanes) // 255)
            await ctx.tick()
        ctx.set(outlet.write, 0)
        await ctx.tick()
        model.begin(Transfer(0, size), whole, max(1, PORT // 8 // beat))
        ctx.set(outlet.narrow, narrow)
        ctx.set(outlet.wanted, 1)
        for cycle in range(80):
            if not model.opened:
                break
            ctx.set(outlet.needs, min(model.total, whole))
            ctx.set(outlet.final, model.total <= whole)
            taken = model.valid(cycle, False)
            said.extend([cycle] * taken)
            found.extend([cycle] * ctx.get(outlet.valid))
            ctx.set(outlet.take, ctx.get(outlet.valid))
            model.tick(taken)
            await ctx.tick()
        assert not model.opened

    play(outlet, story)
    return found, said


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("narrow", [False, True])
def test_beats_are_there_in_the_cycles_of_the_machine(lanes: int, narrow: bool) -> None:
    for size in (8, 20 if lanes < 8 else 24, 48):
        found, said = cycles(
            Outlet("outlet", shape(lanes)), size if lanes < 16 else size // 16 * 16 or 16, narrow
        )
        assert found == said and found


class _Wraps(Outlet):
    """A twin that keeps the low bits whatever stands above them."""

    def _saturated(self, word: Value) -> Value:
        return Cat(*(one[:4] for one in parts(word, 8)))


def test_an_outlet_that_wraps_is_noticed() -> None:
    assert stored(_Wraps("outlet", shape(8)), [(INTEGERS[:32], True)]) != expected(INTEGERS[:32], True)


@pytest.mark.parametrize(("lanes", "width", "packs"), [(4, 4, 4), (2, 4, 4), (24, 4, 0), (4, 8, 0)])
def test_what_has_a_packed_container(lanes: int, width: int, packs: int) -> None:
    """24 lanes are three beats of the memory as bytes, and one and a half when packed."""
    assert shape(lanes, kv_width=width).staged.packs == packs


@pytest.mark.parametrize(("lanes", "port", "whole"), [(8, 128, 2), (16, 128, 4), (4, 64, 1), (16, 64, 2)])
def test_a_store_that_ends_within_a_beat_of_the_field_is_broken(lanes: int, port: int, whole: int) -> None:
    """Beats of ``whole`` units of four bytes, of which a store takes one after the other until it has enough."""
    units = {"vector": vector(lanes=lanes), "attention": attention(kv_width=8)}
    found = next(one for one in staging.outputs(units, port) if one.name == "vector.out.quantized")
    for needs in range(1, port // 32 + 1):
        outlet, told = Outlet("outlet", Outlets(found, port)), list[tuple[bool, bool]]()

        async def story(ctx: Any, outlet: Outlet = outlet, needs: int = needs, told: Any = told) -> None:
            ctx.set(outlet.needs, needs)
            ctx.set(outlet.write, 1)
            for final in (0, 1):
                ctx.set(outlet.wanted, 1)
                ctx.set(outlet.final, final)
                for _ in range(12):
                    ctx.set(outlet.take, ctx.get(outlet.valid))
                    if ctx.get(outlet.valid):
                        told.append((bool(final), bool(ctx.get(outlet.broken))))
                        await ctx.tick()
                        ctx.set(outlet.take, 0)
                        break
                    await ctx.tick()

        play(outlet, story)
        assert told == [(False, False), (True, needs % whole > 0)], needs
