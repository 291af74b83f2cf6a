"""The page, docs/density.md, of the record and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import bit_weight, lut_core_area, markdown
from benchmarks.density import goals, measure
from benchmarks.density.goals import GATED, NETLISTS
from benchmarks.density.search import FASTEST, GOALS, SLOWEST
from benchmarks.density.spaces import BY_LABEL, KEYS, LENGTH, ROWS, TOKENS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "density.md"
#: The public array of LUT Tensor Core (N = 8), mapped by the same tools: products a cycle; um2 and ns of two recipes.
TENSOR_CORE = (32, ((1270.0, 8.0), (1595.0, 2.1)))
#: What other accelerators state, in technologies of their own: what, process, clock.
ELSEWHERE = (
    ("VitaLLM, 256 ternary lanes, 120 kB of memory, 0.223 mm2", "16 nm", "1 GHz"),
    ("bit-weight elements: OPT1 and the MAC that it replaces; OPT3", "28 nm", "1.5 and 1 GHz; 2.5 GHz"),
    ("LUT Tensor Core", "28 nm", "1 GHz"),
    ("TENET", "28 nm", "500 MHz"),
    ("Platinum, 0.96 mm2", "28 nm", "500 MHz"),
    ("FIGLUT", "28 nm", "100 MHz"),
    ("Slim-Llama, 20.25 mm2", "28 nm", "200 MHz"),
)


def page(content: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = [HEAD, "## What was asked", ASKED, markdown.table(_asked(content["designs"]))]
    parts += ["## What is in the way", *_ways(content["designs"])]
    parts += ["## Beside synthesis", BESIDE, markdown.table(_beside(content)), *_left(content)]
    parts += ["## Beside others", OTHERS, markdown.table(_others(content["designs"])), ELSE]
    parts += [markdown.table((("accelerator", "process", "clock"), *ELSEWHERE))]
    parts += ["## The best designs, predicted", BEST]
    for name, found in content["predicted"].items():
        bands = ", ".join(f"{what} {band}" for what, band in found["bands"].items())
        parts += [f"### {name}", f"Predictions of recipe `{found['recipe']}`; errors: {bands}."]
        parts += [markdown.table(_best(found["best"]))]
    parts += ["## The designs of 256 a cycle", DESIGNS]
    for name, found in content["predicted"].items():
        parts += [f"### Parameters, {name}", markdown.table(_designs(found["best"]))]
    return "\n\n".join(parts) + "\n"


def write(content: Mapping[str, Any]) -> None:
    """Write the page."""
    PAGE.write_text(page(content), encoding="utf-8")


# What was asked -------------------------------------------------------------------------------------------------------


def _asked(designs: Mapping[str, Any]) -> Iterator[list[str]]:
    yield ["", "before", "asked", "reached", "by"]
    for goal in goals.GOALS:
        found = list(goals.reached(goal, designs))
        told = [*found, *goals.smaller(goal, designs)]
        figures = "; ".join(_amount(one.figure, goal.figure) for one in told) or "not synthesized"
        names = "; ".join(f"{_case(one.case)}, {_named(designs[one.design])}" for one in told)
        state = "**no**" if goals.missed(goal, found) else "yes"
        before, asked = (_amount(value, goal.figure) for value in (goal.before, goal.asked))
        yield [goal.text, before, asked, f"{figures}: {state}", names]


def _ways(designs: Mapping[str, Any]) -> Iterator[str]:
    """A paragraph for every goal that is missed."""
    for goal in goals.GOALS:
        found = list(goals.reached(goal, designs))
        if not goals.missed(goal, found):
            continue
        lines = [f"**{goal.text}.** {goal.why}".strip()]
        told = [*found, *goals.smaller(goal, designs)]
        for one in told:
            netlist = designs[one.design][one.netlist]
            lines.append(
                f"Slowest path of {_case(one.case)} ({_named(designs[one.design])}): `{netlist['from']}` to "
                f"`{netlist['to']}`, {netlist['ps']:,.0f} ps, {_gates(netlist)}."
            )
        if len(found) < len(goal.cases):
            lines.append(
                f"No design of {measure.SIZE} a cycle was synthesized; these are the largest that were."
            )
        yield "\n".join([*lines, f"Others, in these cells: {goal.published}."])


def _gates(netlist: Mapping[str, Any]) -> str:
    gates = netlist["gates"]
    return f"{sum(gates.values())} cells: " + ", ".join(f"{count} {kind}" for kind, count in gates.items())


def _amount(value: float, kind: str) -> str:
    return f"{value:.2f} {kind}" if kind == goals.CLOCK else f"{value:,.0f}"


def _case(label: str) -> str:
    return BY_LABEL[label].name


def _named(design: Mapping[str, Any]) -> str:
    return f"{design['peak']} a cycle, {_text(_telling(design['parameters']))}"


def _telling(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that tell designs of a case apart: those of its family's axes."""
    dull = {"k_max", "n_max", "m_max", "keys_max", "queries_max", "heads_max", "activation", "format"}
    return {name: value for name, value in parameters.items() if name not in dull}


def _text(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}` {str(value).lower()}" for name, value in parameters.items())


# Beside synthesis -----------------------------------------------------------------------------------------------------


def _beside(content: Mapping[str, Any]) -> Iterator[list[str]]:
    yield [
        "family", "format", "what it is", "um2 per MAC a cycle, synthesized", "predicted", "GHz, synthesized",
        "predicted", "MAC per ns and mm2", "um2 per MAC, shortest period", "GHz", "MAC per ns and mm2",
        "um2 per MAC, clock gates", "GHz", "um2 per MAC, both", "GHz", "MAC per ns and mm2",
    ]  # fmt: skip
    names = measure.wanted(content["predicted"])
    for key, one in sorted(content["designs"].items(), key=lambda item: (_place(item[1]), item[0])):
        case, what = BY_LABEL[one["case"]], names.get(key, {"names": ["best of an earlier search"]})["names"]
        least, shortest = (one[name] for name in NETLISTS)
        said = one["predicted"]
        cells = [case.family, case.name, "; ".join(what)]
        cells += [f"{least['um2'] / one['rate']:.2f}", _error(said["um2"], least["um2"])]
        cells += [f"{1e3 / least['ps']:.2f}", _error(least["ps"], said["ps"])]
        cells += [f"{goals.figure(goals.WORK, one, NETLISTS[0]):,.0f}"]
        cells += [f"{shortest['um2'] / one['rate']:.2f}", f"{1e3 / shortest['ps']:.2f}"]
        yield [*cells, f"{goals.figure(goals.WORK, one, NETLISTS[1]):,.0f}", *_gated(one)]


def _gated(one: Mapping[str, Any]) -> Iterator[str]:
    """The cells of a design for its netlists with clock gates."""
    for name in GATED:
        found = one.get(name)
        yield "-" if found is None else f"{found['um2'] / one['rate']:.2f}"
        yield "-" if found is None else f"{1e3 / found['ps']:.2f}"
    yield f"{goals.figure(goals.WORK, one, GATED[1]):,.0f}" if GATED[1] in one else "-"


def _place(design: Mapping[str, Any]) -> tuple[int, float]:
    return list(BY_LABEL).index(design["case"]), design["least area"]["um2"] / design["rate"]


def _error(predicted: float, measured: float) -> str:
    return f"{100 * (predicted / measured - 1):+.1f} %"


def _left(content: Mapping[str, Any]) -> Iterator[str]:
    """What was not synthesized."""
    names = measure.wanted(content["predicted"])
    left = {key: one for key, one in names.items() if key not in content["designs"]}
    if left:
        cases = sorted({one["case"] for one in left.values()}, key=list(BY_LABEL).index)
        named = {
            case: sorted(name for one in left.values() if one["case"] == case for name in one["names"])
            for case in cases
        }
        yield f"Not synthesized, {len(left)} of {len(names)} designs, which the command goes on with:"
        yield "\n".join(f"- {case}: {', '.join(some)}" for case, some in named.items())


# Beside others --------------------------------------------------------------------------------------------------------


def _others(designs: Mapping[str, Any]) -> Iterator[list[str]]:
    """Published hardware in the same cells, each for least area and balanced where both are known."""
    yield ["what", "recipe", "products a cycle", "um2 per product a cycle", "GHz", "products per ns and mm2"]
    for (mu, tables, columns), stated in lut_core_area.STATED.items():
        name = f"published generator's structure, mu {mu}, {tables} tables, {columns} columns, INT8"
        yield _other(name, "least area", mu * tables * columns, *stated)
    shapes = {**bit_weight.ELEMENTS}
    shapes |= {
        f"{organization} 4x4, {label}": shape
        for organization, some in bit_weight.ORGANIZATIONS.items()
        for label, shape in some.items()
    }
    for label, points in bit_weight.STATED.items():
        for recipe, point in zip(("least area", "balanced"), points, strict=True):
            yield _other(f"bit-weight, public RTL: {label}", recipe, shapes[label].products, *point)
    products, points = TENSOR_CORE
    for recipe, point in zip(("least area", "balanced"), points, strict=True):
        yield _other("LUT Tensor Core array (N = 8), public RTL", recipe, products, *point)
    for goal in goals.GOALS:
        for one in goals.reached(goal, designs):
            design = designs[one.design]
            netlist = design[one.netlist]
            name = f"ours, whole with shell: {design['case']}"
            yield _other(name, one.netlist, design["rate"], netlist["um2"], netlist["ps"] * 1e-3)


def _other(name: str, recipe: str, products: float, um2: float, ns: float) -> list[str]:
    work = products / (um2 * ns) * 1e6
    return [name, recipe, f"{products:.3g}", f"{um2 / products:.2f}", f"{1 / ns:.2f}", f"{work:,.0f}"]


# Predictions ----------------------------------------------------------------------------------------------------------


def _best(found: Mapping[str, Any]) -> Iterator[list[str]]:
    yield [
        "family", "format", "size", "least um2 per MAC a cycle, at GHz", "most MAC per ns and mm2, at GHz",
        "least fJ per MAC, at GHz", "highest GHz, at um2 per MAC a cycle",
    ]  # fmt: skip
    for label, sizes in found.items():
        case = BY_LABEL[label]
        for size, kept in sizes.items():
            yield [case.family, case.name, str(size), *(_figure(kept, goal) for goal in GOALS)]


def _figure(kept: Mapping[str, Mapping[str, float]], goal: str) -> str:
    if goal not in kept:
        return "-"
    one, (figure, _) = kept[goal], GOALS[goal]
    other = one["um2_per_mac"] if goal == "clock" else one["ghz"]
    first = f"{one[figure]:,.0f}" if one[figure] >= 1000 else f"{one[figure]:.3g}"
    return f"{first}, {other:.3g}"


def _designs(found: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    yield ["family", "format", "best by", "parameters"]
    for label, sizes in found.items():
        case = BY_LABEL[label]
        for goal in GOALS:
            kept = sizes.get(measure.SIZE, {}).get(goal)
            if kept:
                yield [case.family, case.name, goal, _text(_telling(kept["parameters"]))]


HEAD = f"""# Density

Written by `python -m benchmarks.density` out of `docs/density.yaml`, which the same command fills.

How much work do these cells do by area, by time and area, and by energy? For every number format of every family the
cost model looks at every design of a space, in three technologies. Work is a product of {TOKENS} tokens with a matrix
of {LENGTH} by {LENGTH}, or attention of {KEYS} keys and queries; of `{ROWS}`, elements of rows. A size is the
multiply-accumulates (MAC) that a design sustains in a cycle on it, fill, drain and waiting included; designs count
of {SLOWEST:g} to {FASTEST:g} times the size. Everything is in a design: shell, counters, buffers, memories on chip.
Memory outside costs nothing here, neither time nor energy, so no design keeps activations to save traffic
([tables or arrays](lut_or_array.md) has the traffic)."""
ASKED = f"""Netlists of at least {measure.SIZE} MAC a cycle in `{measure.TECHNOLOGY}`: whole designs with shell
and buffers, timed with the wires of the recipe. *Before* is what designs reached when the figure was asked for. Of each
case the page has the best netlist that was synthesized, for least area or for the shortest period, with or without
[clock gates](synthesis.md#clock-gates), and where none of this size was, the best of the largest."""
BESIDE = f"""The best designs of {measure.SIZE} MAC a cycle in `{measure.TECHNOLOGY}`, and those that other pages
measure. Each is mapped for least area, and with prefix adders everywhere and the strengths of cells that give the
shortest period: cells grow until no larger one helps, so where full adders, of one strength in this library, are the
path it is hardly shorter than for least area. The last columns are the same two netlists with clock gates (recipe
`gated/1`); of a dash the design was not mapped so, `--gates` does it. Errors are those of the predictions, which are
for least area; of clocks a positive one is too fast. Designs of more than {measure.LARGEST_UM2:,} um2, predicted, are
not synthesized: that would take a processor more than about ten minutes."""
OTHERS = """Published structures, mapped with the same cells without a shell and without wires, beside what is reached
above with both: a whole design of theirs would be larger and slower than these figures. An element of a serial kind
counts the digits of operands from a normal distribution ([bit-weight elements](bit_weight.md)). LUT Tensor Core takes
weights bit by bit."""
ELSE = "What accelerators in other cells state for their clock:"
BEST = f"""Four designs of each size: the one of least area for a MAC a cycle, of most MAC per ns and mm2, of least
energy for a MAC, each at its own shortest predicted period, and the fastest. Of `{ROWS}` a MAC is an element of a
row. A dash: no design of that size."""
DESIGNS = "Parameters that are not the default, of the best designs predicted."
