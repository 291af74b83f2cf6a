"""Systems whose prompts run on a unit of products of their own: of the same family as tokens, or of another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.files.document import read_text
from blueprint.spec import Spec
from blueprint.systems import address_map, control, instructions, inventory, weight_order
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import EVERY, MOVED, UNITS, Instruction, form
from blueprint.systems.memory_port import of_memory
from blueprint.systems.reader import read_system, system_from
from blueprint.systems.runs import Runs
from compiler import calibration, image
from compiler.compile import Compiled, compile_model, compile_shapes
from compiler.contents import Contents
from compiler.plan import PRODUCTS, PROMPT_WEIGHTS, WEIGHTS, Machine, Shapes
from compiler.prompts import BLOCK, DECODE, PROMPT, turns
from costmodel.systems import compiled
from costmodel.systems import estimate as costs
from costmodel.systems.compiled import asked_of
from costmodel.technology import technology
from generator import system_export
from simulator.engine import dispatch
from simulator.systems import chrome, decoding, sums
from simulator.systems.passes import Passes, read_program
from ternforge import check, estimate, explore
from ternforge.energies import Energies
from tests.costmodel.test_compiled_estimate import agree_on_a_token
from tests.named_registers import built_registers
from tests.systems import small
from tests.systems.small import port
from tests.systems.test_head import integers, trained
from tests.volume import ALL

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "tiny_prefill.yaml"
TOKENS = [3, 17, 5, 39, 0, 8]
BLOCKED = 3
#: Units beside tables that run tokens, by what they are; of these "like" takes the weights of the tables themselves.
UNITS_OF: Mapping[str, Mapping[str, Any]] = {
    "wider": {"prefill": lambda: small.product("tables", lut_count=8)},
    "array": {"prefill": lambda: small.product("array")},
    "dots": {"prefill": lambda: small.product("dots")},
    "like": {"prefill": lambda: small.product("tables", n_max=64)},
    "padded": {"prefill": lambda: small.product("tables", mu=3, lut_count=32, fetch_count=8)},
    "stays": {"matrix": lambda: small.product("array", cols=8), "prefill": lambda: small.product("dots")},
    "both": {"prefill": lambda: small.product("dots"), "head": integers},
}


@cache
def hardware(name: str = "", block: int = BLOCKED) -> Hardware:
    """A small system with a unit for prompts; without one where nothing is named."""
    units: dict[str, Spec] = {unit: made() for unit, made in UNITS_OF.get(name, {}).items()}
    return dataclasses.replace(small.hardware(**units), block=block)


@cache
def found(name: str = "", block: int = BLOCKED, batch: int = 1) -> Compiled:
    return compile_model(hardware(name, block), trained(), calibration.measure(trained(), [TOKENS]), batch)


def started(made: Compiled, program: str) -> set[str]:
    """Units of products that a program starts."""
    code = made.program(program).instructions
    return {one.unit for one in code if one.kind == "start"} & {"matrix", "prefill", "head"}


def loaded_weights(made: Compiled, program: str) -> list[int]:
    """Addresses of the weights of layers that a program loads, in their order."""
    one, address = made.program(program), MOVED.index("address")
    return [
        each.value
        for each, (purpose, _) in zip(one.instructions, one.notes, strict=True)
        if purpose.weights and purpose.step in PRODUCTS and (each.unit, each.register) == ("load", address)
        and each.kind == "set"
    ]  # fmt: skip


# Instructions and hardware --------------------------------------------------------------------------------------------


def test_an_instruction_of_seven_units_is_still_a_word() -> None:
    fields = {field.name: (field.offset, field.bits) for field in form(EVERY)}
    assert fields == {
        "kind": (0, 3), "unit": (3, 3), "wait": (6, 7), "signal": (13, 7), "register": (20, 8), "value": (28, 36),
    }  # fmt: skip
    one = Instruction("set", "prefill", ("matrix",), ("prefill", "load"), 0x41, 0xABCDEF012)
    assert instructions.decode(one.encode(EVERY), EVERY) == dataclasses.replace(
        one, signal=("load", "prefill")
    )
    assert len(EVERY) == dispatch.COUNT  # tables of the passes in machine code
    assert len(EVERY) < 1 << control.UNIT_BITS  # fetch has the number behind them in the status


def test_numbers_follow_from_the_units_that_are_there() -> None:
    queues = {name: hardware(name).queues for name in ("", "wider", "both")}
    assert queues == {"": UNITS, "wider": (*UNITS, "prefill"), "both": (*UNITS, "head", "prefill")}
    said = system_export._instructions(hardware("wider"))
    assert said["units"] == {unit: number for number, unit in enumerate((*UNITS, "prefill"))}
    assert "| head | 5 |\n| prefill | 5 or 6 |" in instructions.page()


def test_a_system_without_the_unit_is_what_it_was() -> None:
    assert [hardware().prompts, hardware("wider").prompts, hardware().head] == ["matrix", "prefill", ""]
    assert [role.work for role in hardware("both").roles][-2:] == ["head", "prefill"]
    same = {"matrix": small.product("tables"), "prefill": small.product("dots")}
    plain, turned = (control.built("one", same, width=32, burst=8, prompts=unit) for unit in ("", "matrix"))
    assert [plain.prompts, turned.prompts] == ["prefill", "matrix"]
    assert len({plain.design_hash, turned.design_hash, hardware().design_hash}) == 3


def test_registers_of_blocks_of_seven_units_are_those_that_are_counted() -> None:
    from generator.systems.loads import Loads
    from generator.systems.tokens import Tokens

    built = hardware("both")
    tokens = sum(built_registers(Tokens("tokens", built.queues)).values())
    assert tokens == sum(inventory.tokens(built.queues).values()) == 49 * 4
    loads = built_registers(Loads("load", built.load, 3, (), built.queues))
    assert loads["signal_held"] == inventory.transfers(built.load, built.queues)["signal_held"] == 7


def test_a_unit_that_runs_head_and_prompts_is_one() -> None:
    """Ternary digits of the head and the layers' products of prompts, of one further unit."""
    text = FILE.read_text(encoding="utf-8").replace("stage: exact", "stage: int8")
    text = text.replace("runs: [prefill]", "runs: [prefill, head]").replace(
        "positions, head, ", "positions, "
    )
    built = control.hardware(system_from(read_text(text)))
    assert [built.queues, built.head, built.prompts] == [(*UNITS, "head"), "head", "head"]
    units = {"head": small.product("dots", n_max=128)}
    one = dataclasses.replace(small.hardware(**units), block=BLOCKED, prompts="head")
    made = compile_model(one, trained(), calibration.measure(trained(), [TOKENS]))
    assert [started(made, name) for name in (BLOCK, DECODE)] == [{"head"}, {"matrix", "head"}]
    alone = compile_model(dataclasses.replace(one, prompts="matrix"), trained(), made.steps)
    assert one.design_hash != alone.hardware.design_hash
    texts = [
        decoding.decode(each.hardware, image.of_compiled(each), TOKENS, 3, port()).tokens
        for each in (made, alone)
    ]
    assert texts[0] == texts[1] and started(alone, BLOCK) == {"matrix"}


# Weights --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wider", "array", "dots", "like", "both"])
def test_passes_without_head_are_run_by_the_unit_for_prompts(name: str) -> None:
    made = found(name)
    scorer = {"head"} & set(made.hardware.queues)
    assert [started(made, each) for each in (PROMPT, BLOCK)] == [{"prefill"}, {"prefill"}]
    assert started(made, DECODE) == {"matrix"} | scorer


@pytest.mark.parametrize("name", ["wider", "array", "like", "stays"])
def test_weights_of_prompts_are_the_beats_of_their_unit(name: str) -> None:
    """Where they are loaded from lie the codes of each tile as the unit packs them, once for both where it can be."""
    made = found(name)
    machine, contents = Machine(made.hardware, made.model), Contents(trained(), made.steps)
    memory, base, shapes = made.layout.image(), made.layout.base, Shapes(made.model)
    for head, program in ((True, DECODE), (False, BLOCK)):
        addresses = iter(loaded_weights(made, program))
        layers = range(made.model.layers if head else made.model.layers - 1)
        for layer, product in ((layer, product) for layer in layers for product in PRODUCTS):
            codes, unit = contents.codes(layer, shapes.roles(product)), machine.of(product, head=head)
            for first, n in machine.cut(product, head=head):
                beats, at = unit.beats(codes[first : first + n]).reshape(-1), next(addresses) - base
                assert np.array_equal(memory[at : at + beats.size], beats)
    shared = name in ("like", "stays")
    region = made.layout[WEIGHTS if shared else PROMPT_WEIGHTS]
    assert all(region.base <= address < region.end for address in loaded_weights(made, BLOCK))
    assert (PROMPT_WEIGHTS in made.layout.regions) != shared


def test_weights_in_the_order_of_another_unit_are_noticed() -> None:
    """Keys are others where a unit for prompts has the weights of tokens, of as many bytes."""
    made = found("wider")
    contents = dict(made.layout.contents)
    assert contents[WEIGHTS].size == contents[PROMPT_WEIGHTS].size
    contents[PROMPT_WEIGHTS] = contents[WEIGHTS]
    wrong = dataclasses.replace(made, layout=dataclasses.replace(made.layout, contents=contents))
    right, other = (
        decoding.decode(made.hardware, image.of_compiled(each), TOKENS, 1, port()).memory
        for each in (made, wrong)
    )
    keys = slice(made.layout["keys 1"].base, made.layout["keys 1"].end)
    assert right[keys] != other[keys]


def test_an_order_is_that_of_the_beats_and_not_of_the_family() -> None:
    lengths = (32, 64)
    tables, dots = small.product("tables"), small.product("dots")
    same = {
        "itself": (tables, tables),
        "a bound": (tables, small.product("tables", n_max=64)),
        "registers": (tables, small.product("tables", reduction_register=True)),
        "rows of an array": (small.product("array"), small.product("array", rows=4)),
        "weights or outputs that stay": (small.product("array", cols=8), dots),
        "as many weights of a table": (tables, small.product("tables", mu=4, lut_count=2)),
    }
    other = {
        "more tables": (tables, small.product("tables", lut_count=8)),
        "more columns": (tables, small.product("tables", fetch_count=8)),
        "another key": (tables, small.product("tables", key_encoding="sign_index")),
        "another family": (tables, dots),
        "tiles of outputs": (tables, small.product("tables", n_tile=8)),
        "tiles of outputs over vectors that stay": (
            tables,
            small.product("tables", n_tile=8, act_buffer=True),
        ),
        "columns of an array": (dots, small.product("dots", cols=4)),
        "one group of columns at most": (dots, small.product("dots", n_max=8)),
    }
    assert {what for what, pair in same.items() if not weight_order.same_order(*pair, lengths)} == set()
    assert {what for what, pair in other.items() if weight_order.same_order(*pair, lengths)} == set()


def test_tiles_are_common_where_weights_are() -> None:
    """A unit for prompts that takes fewer outputs a run cuts the products of tokens too."""
    few = Machine(small.hardware(prefill=small.product("tables", n_max=16)), trained().decoder.model)
    plain = Machine(hardware(), trained().decoder.model)
    assert few.shares_weights and few.tiles["ffn"] == 16 < plain.tiles["ffn"]
    assert all(few.cut(name) == few.cut(name, head=False) for name in PRODUCTS)
    stays = Machine(hardware("stays"), trained().decoder.model)  # a run of the array has one group of columns
    assert stays.shares_weights and {n for name in PRODUCTS for _, n in stays.cut(name, head=False)} == {8}


# Values and cycles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "prompt"),
    [("array", 1), ("array", 3), ("array", 6), ("wider", 6), ("like", 6), ("padded", 6), ("stays", 6)],
)
def test_tokens_keys_and_values_are_those_of_the_system_without_the_unit(name: str, prompt: int) -> None:
    ran = {
        each: decoding.decode(hardware(each), image.of_compiled(found(each)), TOKENS[:prompt], 3, port())
        for each in ("", name)
    }
    assert ran[name].tokens == ran[""].tokens and len(ran[name].tokens) == 3
    for region in ("keys 0", "values 0", "keys 1", "values 1"):
        with_unit, without = (
            ran[each].memory[found(each).layout[region].base : found(each).layout[region].end]
            for each in (name, "")
        )
        assert with_unit == without and any(without)


def test_vectors_have_room_for_the_beats_of_either_unit() -> None:
    """Integers of 32 elements are 96 in a beat of the wider unit, whichever of the two that is."""
    wide = UNITS_OF["padded"]["prefill"]()
    turned = small.hardware(matrix=wide, prefill=small.product("tables"))
    for built in (hardware("padded", 1), turned):
        plan = compile_shapes(built, trained().decoder.model)
        assert [plan.layout[f"{name} in"].size for name in ("kv", "down")] == [128, 128]
    assert compile_shapes(hardware(), trained().decoder.model).layout["kv in"].size == 64 * BLOCKED


def test_every_sequence_of_a_batch_is_as_alone() -> None:
    alone, both = found("array"), found("array", BLOCKED, 2)
    prompts, shown = [TOKENS[:3], TOKENS[3:]], image.of_compiled(both)
    together = decoding.decode(both.hardware, shown, prompts[0], 3, port(), beside=prompts[1:])
    single = image.of_compiled(alone)
    assert together.sequences == [
        decoding.decode(alone.hardware, single, prompt, 3, port()).tokens for prompt in prompts
    ]
    assert [started(both, name) for name in (PROMPT, DECODE)] == [{"prefill"}, {"matrix"}]


@pytest.mark.parametrize("name", ["wider", "array", "like", "both"])
@pytest.mark.parametrize("memory", ["fixed", "half"])
def test_passes_in_machine_code_take_the_cycles_of_each_instruction(name: str, memory: str) -> None:
    made, shown = found(name), image.of_compiled(found(name))
    decoded = decoding.decode(made.hardware, shown, TOKENS, 2, port(memory))
    small.check_passes(made.hardware, shown, turns(6, 2, BLOCKED), port(memory), decoded.trace)


def test_sums_of_a_block_are_those_of_its_spans() -> None:
    made = found("array")
    trace = decoding.timed(made.hardware, image.of_compiled(made), [BLOCK], port("half"), lambda _: 3)
    runs, program = Runs(made.hardware), made.program(BLOCK)
    passes = Passes(made.hardware, [port("half")] * 3, runs)
    table = read_program(made.hardware, runs, program.instructions)
    adding = sums.Adding(runs, table, program.notes)
    adding.add(passes.run(table, 0, BLOCKED))
    added = adding.sums()
    assert {"matrix": 0, **added.busy} == decoding.busy(trace)
    assert added.busy["prefill"] > 0 and not added.macs["matrix"]
    assert sums.stalls(added, passes.cycles) == decoding.waits(trace)
    model = made.model
    layer = sum(k * n for k, n in map(Shapes(model).product, PRODUCTS))
    last = Shapes(model).product("kv")
    assert added.macs["prefill"] == BLOCKED * ((model.layers - 1) * layer + last[0] * last[1])


def test_an_estimate_has_the_bytes_and_nearly_the_cycles_of_the_simulator() -> None:
    system = read_system(FILE)
    agree_on_a_token(system)
    plan = compiled.plan_of(system, system.largest)
    assert system.clock_mhz is not None
    said = compiled.prefill(system, plan, system.clock_mhz, 17)
    runs = Runs(plan.hardware)
    passes = Passes(plan.hardware, [of_memory(system.memory, system.clock_mhz)] * 3, runs)
    tables = {one.name: read_program(plan.hardware, runs, one.instructions) for one in plan.programs}
    for one in turns(17, 1, plan.block):
        passes.run(tables[one.program], one.position)
    assert sum(one.cycles for one in said) == pytest.approx(passes.cycles, rel=0.005)
    places = {(one.part.kind, one.part.place) for one in said if one.part.macs}
    assert places == {("product", "prompts"), ("product", "matrix"), ("attention", "attention")}


def test_a_trace_has_a_track_for_the_unit() -> None:
    made, shown = found("array"), image.of_compiled(found("array"))
    decoded = decoding.decode(made.hardware, shown, TOKENS[:4], 1, port())
    events = list(chrome.events(chrome.of_decoded(decoded, shown), made.hardware.queues, 100.0))
    names = {one["tid"]: one["args"]["name"] for one in events if one["ph"] == "M"}
    assert list(names.values()) == [*UNITS, "prefill"]
    mine = {one["name"] for one in events if one["ph"] == "X" and names[one["tid"]] == "prefill"}
    assert {"L0 kv from 0", "L0 down from 0"} <= mine


# What is said ---------------------------------------------------------------------------------------------------------


def test_a_check_names_the_weights_and_the_unit() -> None:
    said = check(FILE)["derived"]
    units = {one["name"]: one for one in said["units"]}
    assert units["prompts"]["runs"] == ["prefill"] and units["prompts"]["peak_macs"] == 384
    texts = {region["name"]: region["text"] for region in said["addresses"]}
    assert texts["prefill"] == "the same weights in the order of the unit of prompts"
    assert said["places"]["prefill"] == "prompts"


def test_one_image_is_said_to_be_that_of_both_units() -> None:
    system = read_system(FILE)
    like = dataclasses.replace(system.units["prompts"], spec=system.units["matrix"].spec)
    both = dataclasses.replace(system, units={**system.units, "prompts": like})
    (weights, *others) = address_map.regions(both, both.largest)
    plan = compile_shapes(*asked_of(both, both.largest))
    told = "ternary weights in the order of their beats, of the unit of prompts too"
    assert weights.text == plan.layout[WEIGHTS].text == told
    assert "prefill" not in [region.name for region in others] and PROMPT_WEIGHTS not in plan.layout.regions


def test_an_estimate_has_the_unit_in_area_energy_and_time() -> None:
    system = read_system(FILE)
    asap7 = technology.load("asap7")
    with_unit = costs.estimate(system, system.largest, asap7, 0, 17)
    area = with_unit.costs.areas
    assert area["prompts"] > area["matrix"] > 0
    prompts, tokens = (with_unit.phases[name] for name in ("prefill", "decode"))
    assert costs.busy(prompts, system)["prompts"] > costs.busy(prompts, system)["matrix"] > 0
    assert costs.busy(tokens, system)["prompts"] == 0 < costs.busy(tokens, system)["matrix"]
    assert 0 < tokens.energies["prompts"] < prompts.energies["prompts"]
    shown = estimate(FILE, context=0, prompt=17)["phases"]["prefill"]["operations"]
    assert {row["place"] for row in shown if row["kind"] == "product"} == {"prompts", "matrix"}


def test_energy_of_work_is_that_of_the_unit_that_does_it() -> None:
    system = read_system(FILE)
    assert system.clock_mhz is not None
    energies = Energies(system, system.clock_mhz, control.hardware(system), None)
    assert set(energies.work({"prefill": 1000}, 0)) == {"prompts"}
    assert {"prompts", "matrix"} <= set(energies.total(100, {"prefill": 1000}, 0, {}, 1)["energy_pj"])


def test_a_listing_names_the_unit_and_the_region_of_its_weights(tmp_path: Path) -> None:
    for name, region in (("array", PROMPT_WEIGHTS), ("like", WEIGHTS)):
        made, folder = found(name), tmp_path / name
        folder.mkdir()
        image.write(made, folder)
        lines = (folder / image.LISTING).read_text(encoding="utf-8").splitlines()
        line = f"; products of the layers by prefill, weights in region {region}"
        at = [number for number, one in enumerate(lines) if one == line]
        assert [lines[number - 1].split(",")[0] for number in at] == ["; program prompt", "; program block"]
        back = image.read(folder, made.hardware)
        assert back.units == (*UNITS, "prefill") and back.programs == image.of_compiled(made).programs
    with pytest.raises(ParamError, match="image must be for this design, whose hash is"):
        image.read(tmp_path / "like", hardware("array"))
    folder = tmp_path / "plain"
    folder.mkdir()
    image.write(found(), folder)
    assert "; products of" not in (folder / image.LISTING).read_text(encoding="utf-8")


def test_a_search_has_the_numbers_of_an_estimate(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text(FILE.read_text(encoding="utf-8"), encoding="utf-8")
    space = "schema: ternforge/space/v1\nname: prompts\nsystem: system.yaml\nparameters:\n"
    space += (
        "  units.prompts.fetch_count: [4, 8]\nworkload: {context: 0}\nprompt_tokens: 9\ntechnology: asap7\n"
    )
    space += "objectives: {area_um2: min, time_to_first_token_s: min}\n"
    (tmp_path / "space.yaml").write_text(space, encoding="utf-8")
    rows = explore(tmp_path / "space.yaml", out=tmp_path / "study")["front"]
    wide = next(row for row in rows if row["units.prompts.fetch_count"] == 8)
    alone = estimate(FILE, context=0, prompt=9)
    for metric in ("area_um2", "time_to_first_token_s", "tokens_per_second"):
        assert wide[metric] == pytest.approx(alone[metric], rel=1e-12)
    narrow = next(row for row in rows if row["units.prompts.fetch_count"] == 4)
    assert narrow["time_to_first_token_s"] > wide["time_to_first_token_s"]


# RTL ------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow  # a minute to build
def test_rtl_of_another_family_has_the_tokens_and_the_cycles_of_the_simulator(tmp_path: Path) -> None:
    small.check_rtl(found("array"), TOKENS[:5], "prefill", tmp_path)


if ALL:  # a minute each to build

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["wider", "like", "both"])
    def test_rtl_has_the_tokens_and_the_cycles_of_the_simulator(name: str, tmp_path: Path) -> None:
        small.check_rtl(found(name), TOKENS[:5], "prefill", tmp_path)


# What is refused ------------------------------------------------------------------------------------------------------


def said(edit: Mapping[str, str]) -> str:
    """The sentence for the file with texts replaced, each where it stands last."""
    text = FILE.read_text(encoding="utf-8")
    for old, new in edit.items():
        before, found, behind = text.rpartition(old)
        assert found, old
        text = before + new + behind
    return small.refusal(text)


_TABLES = "    family: ternary_lut\n    parameters:\n      mu: 3\n      lut_count: 16\n      fetch_count: 8\n"
_TABLES += "      act_width: 8\n      k_max: 768\n      n_max: 1024\n      key_encoding: five_trits\n"


def systolic(**parameters: Any) -> dict[str, str]:
    """An array in place of the tables for prompts."""
    known = {"organization": "output_stationary", "pe": "mac", "rows": 1, "cols": 8, "act_width": 8}
    every = {**known, "weight_width": 2, "k_max": 768, "n_max": 1024, **parameters}
    lines = "".join(f"      {name}: {value}\n" for name, value in every.items())
    return {_TABLES: f"    family: systolic\n    parameters:\n{lines}"}


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "weights of 8 bits": (
        systolic(weight_width=8),
        "Weights of the prefill unit must be ternary words, not twos_complement elements",
    ),
    "several rows of elements": (
        systolic(rows=2),
        "The prefill unit must take and give one token's vector in order, each element once (one token lane, one row, "
        "no tiles), and this design does not",
    ),
    "cycles that depend on the weights": (
        systolic(pe="booth_flex", weight_width=8),
        "Cycles of unit prefill must not depend on its operands in hardware of a whole system, which is timed by sizes",
    ),
    "sums of more than 32 bits": (
        systolic(acc_width=40),
        "The vector unit must take the sums of the prefill unit as its rows (dequantizes: true)",
    ),
    "a small buffer of weights": (
        systolic(cols=64),
        "Buffer of weights must be at least 24576 bytes for a product of 768 inputs",
    ),
    "columns that do not divide the outputs": (
        {"fetch_count: 8": "fetch_count: 24"},
        "Outputs must be multiples of the prefill unit's 24 columns, not 256",
    ),
    "activations of 7 bits": (
        {"act_width: 8": "act_width: 7"},
        "units.prompts: prefill must run on a unit of INT8 activations, as norms give them, and prompts takes integers "
        "of 7 bits",
    ),
    "a short reduction": (
        {"k_max: 768": "k_max: 767"},
        "units.prompts.parameters.k_max: unit prompts must run down: Gemm k must be at most k_max 767, not 768",
    ),
    "two units for prompts": (
        {"runs: [product]": "runs: [product, prefill]"},
        "units.prompts: runs must give prefill to one place, not to matrix and prompts",
    ),
    "no unit for prompts": (
        {"runs: [prefill]": "runs: [head]"},
        "units: units must run prefill, and none does: give it to a unit that can",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_unit_for_prompts_cannot_be_is_said_in_one_sentence(what: str) -> None:
    edit, told = REFUSED[what]
    assert said(edit) == told
