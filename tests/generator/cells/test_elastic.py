"""Chains of elastic stages against a Python model, in every cycle, under random back-pressure and starvation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Const, Elaboratable, Module, Signal, Value

from generator.cells.elastic import elastic
from tests.generator.cells.flat import play

CYCLES = 500


def stuck_when_full(m: Module, offered: Value, full: Signal, ready: Signal, onward: Value) -> Value:
    """A twin that does not load while it hands on what it holds."""
    entering = offered & ~full
    m.d.comb += ready.eq(~full)
    with m.If(entering | (full & onward)):
        m.d.sync += full.eq(entering)
    return entering


def forgetful(m: Module, offered: Value, full: Signal, ready: Signal, onward: Value) -> Value:
    """A twin that loads over what nobody has taken."""
    return elastic(m, offered, full, ready, onward | Const(1, 1))


class Chain(Elaboratable):
    """Stages with their data."""

    def __init__(self, stages: int, stage: Any = elastic) -> None:
        self.stages, self.stage = stages, stage
        self.offered, self.out_ready, self.data = Signal(), Signal(), Signal(8)
        self.ready = [*(Signal(name=f"ready{number}") for number in range(stages)), self.out_ready]
        self.full = [Signal(name=f"full{number}") for number in range(stages)]
        self.held = [Signal(8, name=f"held{number}") for number in range(stages)]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        valid, data = [self.offered, *self.full], [self.data, *self.held]
        for number in range(self.stages):
            enters = self.stage(
                m, valid[number], self.full[number], self.ready[number], self.ready[number + 1]
            )
            with m.If(enters):
                m.d.sync += self.held[number].eq(data[number])
        return m


def check(chain: Chain, offers: float = 0.7, takes: float = 0.6) -> int:
    """Compare what every stage holds with the model in every cycle; returns how many beats went through."""
    random = np.random.default_rng(7)
    held: list[int | None] = [None] * chain.stages
    taken = 0

    async def story(ctx: Any) -> None:
        nonlocal taken
        for cycle in range(CYCLES):
            offered = int(random.integers(256)) if random.random() < offers else None
            ready = bool(random.random() < takes)
            ctx.set(chain.offered, offered is not None)
            ctx.set(chain.data, offered or 0)
            ctx.set(chain.out_ready, ready)
            seen = [
                ctx.get(data) if ctx.get(full) else None
                for full, data in zip(chain.full, chain.held, strict=True)
            ]
            assert seen == held, f"stages in cycle {cycle}"
            taken += ready and held[-1] is not None
            for stage in reversed(range(chain.stages)):
                ready = ready or held[stage] is None
                assert ctx.get(chain.ready[stage]) == ready, f"ready {stage} in cycle {cycle}"
                if ready:
                    held[stage] = held[stage - 1] if stage else offered
            await ctx.tick()

    play(chain, story)
    return taken


@pytest.mark.parametrize("stages", [1, 2, 3, 5])
@pytest.mark.parametrize(("offers", "takes"), [(0.7, 0.6), (1.0, 0.3), (0.3, 1.0)])
def test_every_stage_is_that_of_the_model(stages: int, offers: float, takes: float) -> None:
    assert check(Chain(stages), offers, takes) > CYCLES * 0.2


@pytest.mark.parametrize("stages", [1, 4])
def test_a_beat_leaves_in_every_cycle_where_nothing_waits(stages: int) -> None:
    assert check(Chain(stages), 1.0, 1.0) == CYCLES - stages


@pytest.mark.parametrize(
    ("twin", "told"), [(stuck_when_full, "ready 0 in cycle"), (forgetful, "ready 2 in cycle")]
)
def test_the_model_notices(twin: Any, told: str) -> None:
    with pytest.raises(AssertionError, match=f"^{told} "):
        check(Chain(3, twin))
