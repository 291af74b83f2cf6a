"""Switching on netlists of a few cells: memories, places and prices worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from costmodel.groundtruth import activity, waves
from costmodel.groundtruth.flatten import flatten, owners
from costmodel.technology import technology
from costmodel.technology.wire_loads import WireLoad

INVERTER = "INVx1_ASAP7_75t_R"
SINGLE = {"enable": 1, "write": 1, "address": 2, "write_data": 3, "read_data": 3}
RAM = {"write": 1, "write_address": 2, "write_data": 3, "read": 1, "read_address": 2, "read_data": 3}


def ram(pins_of: dict[str, int] = RAM) -> dict[str, Any]:
    """A memory of four words of three bits whose pins are the ports of the top."""
    ports: dict[str, Any] = {}
    nets = iter(range(2, 100))
    for name, width in pins_of.items():
        direction = "output" if name == "read_data" else "input"
        ports[name] = {"direction": direction, "bits": [next(nets) for _ in range(width)]}
    pins = {name: item["bits"] for name, item in ports.items()}
    return {"ports": ports, "cells": {"words": {"type": "sram_4x3", "connections": pins}}}


def machine(netlists: dict[str, Any], top: str) -> activity._Machine:
    return activity._Machine(flatten(top, netlists), netlists[top]["ports"], technology.load("asap7"))


def step(memory: activity._Machine, **ports: int) -> int:
    for name, value in ({"write": 0, "read": 0} | ports).items():
        memory.put(name, value)
    memory.settle()
    memory.clock()
    return memory.read("read_data")


def test_a_memory_writes_and_reads_at_addresses_of_their_own() -> None:
    memory = machine({"top": ram()}, "top")
    step(memory, write=1, write_address=1, write_data=5, read_address=3)
    step(memory, write=1, write_address=2, write_data=6, read_address=1)
    assert step(memory, read=1, read_address=1, write_address=3, write_data=7) == 5
    assert step(memory, read=1, read_address=2, write_address=1) == 6
    assert step(memory, read=1, read_address=3) == 0  # was never written
    assert step(memory, read=1, read_address=1) == 5
    assert step(memory, read_address=2) == 5  # holds what was read last


def test_a_read_sees_the_word_before_a_write_of_the_same_cycle() -> None:
    memory = machine({"top": ram()}, "top")
    step(memory, write=1, write_address=2, write_data=3)
    assert step(memory, write=1, write_address=2, write_data=4, read=1, read_address=2) == 3
    assert step(memory, read=1, read_address=2) == 4


def test_a_single_port_reads_or_writes_where_it_is_enabled() -> None:
    memory = machine({"top": ram(SINGLE)}, "top")

    def access(**ports: int) -> int:
        for name, value in ({"enable": 0, "write": 0} | ports).items():
            memory.put(name, value)
        memory.settle()
        memory.clock()
        return memory.read("read_data")

    memory.counting = True
    access(enable=1, write=1, address=1, write_data=5)
    access(write=1, address=2, write_data=6)  # not enabled
    assert access(enable=1, address=1) == 5
    assert access(enable=1, write=1, address=1, write_data=3) == 5
    assert access(enable=1, address=2) == 0
    assert access(enable=1, address=1) == 3
    assert memory.accesses == {"sram_4x3": (3, 2)}


def test_accesses_are_counted_while_a_run_is() -> None:
    memory = machine({"top": ram()}, "top")
    step(memory, write=1, write_address=0, write_data=1)
    assert memory.accesses == {}
    memory.counting = True
    step(memory, write=1, write_address=0, write_data=1)
    step(memory, write=1, write_address=1, write_data=1, read=1, read_address=0)
    step(memory)
    assert memory.accesses == {"sram_4x3": (1, 2)}


def chain() -> dict[str, Any]:
    """A top with an inverter of its own and two instances of a module with one inverter each, one behind the other."""
    leaf = {
        "ports": {"a": {"direction": "input", "bits": [2]}, "y": {"direction": "output", "bits": [3]}},
        "cells": {"gate": {"type": INVERTER, "connections": {"A": [2], "Y": [3]}}},
    }
    top = {
        "ports": {"x": {"direction": "input", "bits": [2]}, "z": {"direction": "output", "bits": [5]}},
        "cells": {
            "own": {"type": INVERTER, "connections": {"A": [2], "Y": [3]}},
            "one": {"type": "leaf", "connections": {"a": [3], "y": [4]}},
            "two": {"type": "leaf", "connections": {"a": [4], "y": [5]}},
        },
    }
    return {"top": top, "leaf": leaf}


def test_energy_is_that_of_toggles_and_stands_where_the_cells_do() -> None:
    netlists = chain()
    gates = machine(netlists, "top")
    owned = owners(gates.flat, {"top": "outside", "leaf": "inside"})
    places = [owned.names[number] for number in owned.numbers[INVERTER]]
    assert dict(zip(gates.flat.names[INVERTER], places, strict=True)) == {
        "own": "outside", "one.gate": "inside", "two.gate": "inside"
    }  # fmt: skip
    gates.put("x", 0)
    gates.settle()
    for value in (1, 0, 0, 1):  # three changes in four cycles, in every run
        before = gates.values.copy()
        gates.put("x", value)
        gates.settle(before)
    found = gates.price(owned, 4)
    assert found == pytest.approx({"outside": 0.75 * toggle_pj(), "inside": 2 * 0.75 * toggle_pj()})


def toggle_pj(wire_ff: float = 0.0) -> float:
    """Energy of a toggle that goes into an inverter and out of it into a wire."""
    tech = technology.load("asap7")
    cell, half = tech.cells[INVERTER], 0.5e-3 * tech.voltage**2
    pins = sum(half * cell.pin(pin).capacitance + activity._internal(cell, pin) for pin in ("A", "Y"))
    return pins + half * wire_ff


def test_a_toggle_charges_the_wire_of_its_net_once() -> None:
    netlists = chain()
    wires = WireLoad("some", capacitance=0.5, resistance=0.0, slope=1.0, lengths=((1, 4.0), (2, 6.0)))
    gates = activity._Machine(
        flatten("top", netlists), netlists["top"]["ports"], technology.load("asap7"), wires
    )
    rate = np.ones(gates.flat.nets)
    found = gates.price(owners(gates.flat, {"top": "all", "leaf": "all"}), 1, rate)
    assert found == pytest.approx(
        {"all": 3 * toggle_pj(4.0 * 0.5)}
    )  # each net has one reader, or is an output
    assert gates.weights().sum() == pytest.approx(found["all"])


def test_glitches_are_those_of_the_sample_for_each_useful_toggle(monkeypatch: pytest.MonkeyPatch) -> None:
    netlists = chain()
    gates = machine(netlists, "top")
    nets = gates.flat.nets
    low, high = np.zeros(nets, np.uint8), np.ones(nets, np.uint8)
    high[:2] = 0  # the constants
    sample = SimpleNamespace(before=[low, low], after=[high, high], number=4)
    extra = np.where(
        high, 3, 0
    )  # of each net three toggles more than the two that must be, in two transitions
    counted = SimpleNamespace(
        toggles=2 * high + extra, energies=np.array([2.0, 2.0]), settled_ps=np.zeros(2), events=1, seconds=0.0
    )
    monkeypatch.setattr(waves, "gates", lambda *_: None)
    monkeypatch.setattr(waves, "count", lambda *_: counted)
    gates.toggles = np.where(high, activity.RUNS, 0).astype(
        np.int64
    )  # one useful toggle a net in four cycles
    mapped = SimpleNamespace(macros=None, trees=None, wires=None)
    owned = owners(gates.flat, {"top": "outside", "leaf": "inside"})
    found = activity._glitches(gates, sample, owned, mapped, gates.clocks(owned, 4))  # type: ignore[arg-type]
    share = 1.5 * 0.25  # glitches for each useful toggle, useful toggles a cycle
    assert found.energies == pytest.approx(
        {"outside": share * toggle_pj(), "inside": 2 * share * toggle_pj()}
    )


def test_runs_are_counted_one_by_one() -> None:
    gates = machine(chain(), "top")
    gates.put("x", 0)
    gates.settle()
    before = gates.values.copy()
    gates.drive("x", np.array([0b1011], np.uint64))  # three of the 64 runs change
    gates.settle(before)
    assert set(gates.toggles[2:].tolist()) <= {0, 3} and gates.toggles.max() == 3


def test_internal_energy_is_the_mean_of_rise_and_fall_over_all_causes() -> None:
    cell = technology.load("asap7").cells[INVERTER]
    tables = [t for item in cell.energies if item.pin == "Y" for t in (item.rise, item.fall) if t]
    assert len(tables) >= 2
    assert activity._internal(cell, "Y") == pytest.approx(np.mean([t.values[0][0] for t in tables]))
    assert activity._internal(cell, "none") == 0.0
