"""Flip-flops of a system: by name as in the RTL, and in sum as in the netlist."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from blueprint.systems import inventory
from blueprint.systems.control import Hardware, Inlets, Outlets
from blueprint.unit import flip_flops
from generator.emission import emit
from generator.systems.control import Control
from generator.systems.executors import Runner, Transfers
from generator.systems.loads import Loads
from generator.systems.sequencer import Sequencer
from generator.systems.sides import Drain
from generator.systems.staging import Inlet, Outlet
from generator.systems.tokens import Tokens
from generator.systems.top import SystemTop
from tests.named_registers import built_registers, there
from tests.systems.test_dma import netlist_flip_flops
from tests.systems.test_top import small, whole


def blocks(hardware: Hardware) -> list[tuple[Any, dict[str, Any]]]:
    found: list[tuple[Any, dict[str, Any]]] = [
        (Control(hardware), inventory.control(hardware)),
        (Sequencer(hardware), inventory.sequencer(hardware)),
        (Loads("load", hardware.load, 3), inventory.transfers(hardware.load)),
        (Transfers("store", hardware.store, 3), inventory.transfers(hardware.store)),
        (Drain("drain", hardware.store, 1), inventory.drain(hardware.store)),
    ]
    found += [
        (Runner("runner", hardware.staging(unit)), inventory.runner(hardware, unit))
        for unit in hardware.units
    ]
    return found


@pytest.mark.parametrize("tokens", [1, 5])
def test_registers_are_those_that_are_counted_by_name(tokens: int) -> None:
    for block, counted in blocks(replace(whole(), block=tokens)):
        # Ports that show a register stand for it in what is built.
        ports = {pin.split("_", 1)[-1] for pin in block.pins} | set(block.pins)
        built = {name: bits for name, bits in built_registers(block).items() if name not in ports}
        assert built == there({name: bits for name, bits in counted.items() if name not in ports}), (
            block.module_name
        )
    assert sum(built_registers(Tokens("tokens")).values()) == sum(inventory.tokens().values())


@pytest.mark.parametrize("tokens", [1, 5])
def test_registers_of_staging_are_those_that_are_counted(tokens: int) -> None:
    hardware = replace(whole(), block=tokens)
    for one in hardware.inputs:
        shape = Inlets(one, hardware.width)
        assert sum(built_registers(Inlet("inlet", shape)).values()) == sum(inventory.inlet(shape).values()), (
            one.name
        )
    for one in hardware.outputs:
        out = Outlets(one, hardware.width)
        assert sum(built_registers(Outlet("outlet", out)).values()) == sum(inventory.outlet(out).values()), (
            one.name
        )


@pytest.mark.parametrize("width", [32, 64, 128])
def test_flip_flops_are_those_of_the_netlist(width: int) -> None:
    check_netlist(small(width))


@pytest.mark.slow
def test_flip_flops_of_all_units_are_those_of_the_netlist() -> None:
    check_netlist(whole())


def check_netlist(hardware: Hardware) -> None:
    emitted = emit(SystemTop(hardware))
    logic = {name: text for name, text in emitted.modules.items() if name not in emitted.blackboxes}
    boxes = "".join(emitted.stubs.values())
    assert netlist_flip_flops("\n".join(logic.values()) + boxes, emitted.top) == flip_flops(
        inventory.units(hardware)
    )
