"""Counters of the register file, read in every cycle beside a model of them."""

from __future__ import annotations

import numpy as np
import pytest

from blueprint import counting
from tests.generator.cells.test_register_file import ADDRESS, BUSY, DONE, WHOLE, Bench, play


@pytest.mark.parametrize("reach", [2, 8])
def test_a_read_gives_what_a_counter_was_in_the_cycle_in_which_it_was_accepted(
    reach: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several runs that follow each other at once, with events at random and reads all the time."""
    monkeypatch.setattr(counting, "REACH", reach)

    async def story(bench: Bench) -> None:
        random = np.random.default_rng(reach)
        names = ("cycles", "stall_output", "status", "k")
        counting_on, counts = False, {"cycles": 0, "stall_output": 0}
        waiting: list[tuple[str, int]] = []
        busy, runs = False, 0
        await bench.sizes(1, 7, 1)
        for _ in range(1500):
            begun = bench.get("awready") and bench.get("wready")  # a start that is accepted in this cycle
            accepted, finished = busy and random.random() < 0.3, busy and random.random() < 0.01
            stalled = random.random() < 0.5
            bench.put(accepted=accepted, finished=finished, stall_output=stalled)
            start = not busy and not begun
            bench.put(awaddr=ADDRESS["control"], wdata=1, wstrb=WHOLE, bready=1)
            bench.put(awvalid=int(start or begun), wvalid=int(start or begun))
            name = str(random.choice(names))
            bench.put(araddr=ADDRESS[name], arvalid=1, rready=1)
            if bench.get("arready"):
                done = runs > 0 and not busy
                shown = {**counts, "status": BUSY if busy else DONE * done, "k": 7}
                waiting.append((name, shown[name]))
            if bench.get("rvalid"):
                name, value = waiting.pop(0)
                assert (name, bench.get("rdata")) == (name, value)
            running = counting_on or accepted
            if begun:
                counts = dict.fromkeys(counts, 0)
            elif running:
                counts = {
                    "cycles": counts["cycles"] + 1,
                    "stall_output": counts["stall_output"] + stalled,
                }
            counting_on = not (begun or finished) and running
            runs += begun
            busy = bool(begun) or (busy and not finished)
            await bench.tick()
        assert runs > 5 and not waiting[1:]

    play(story)
