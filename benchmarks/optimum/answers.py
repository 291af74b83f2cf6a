"""The page's short answers, and the figures that were asked for under every reading of their baselines."""

from __future__ import annotations

from benchmarks.optimum.conclusions import (
    CORRECTION_GAIN,
    INT8_PERCENT,
    MULTIPLIER_GAIN,
    Row,
    Study,
    area,
    corrections,
    gains,
    kinds,
    lengths,
    musts,
    split,
)
from benchmarks.optimum.markdown import table
from benchmarks.optimum.plots import label

ASKED = """## What was asked for, asap7

The same question against every baseline that select-add can mean. *Own* is the same generator with mu = 1, which is
select-add with everything that makes a table cheap: offset binary, signs folded into carries, the narrowest
accumulator. *Plain* is one sum of `w ? -x : x` terms in Verilog, mapped by the same recipe. *Stated* figures are those
that other implementations report in the same technology.
"""


def answers(study: Study) -> str:
    """All claims in a few lines."""
    tech = study["technologies"]["asap7"]
    return "\n".join(
        ["## In short (asap7)\n", *_gain(study, tech), _size(tech), _correction(tech), _small(tech)]
    )


def _gain(study: Study, tech: Row) -> list[str]:
    most = max(
        ((name, how, count, item) for name, _ in kinds(tech) for count in study["fetches"]
         for how, item in gains(tech, name, count).items()),
        key=lambda found: found[3]["multiplier"],
    )  # fmt: skip
    fp16 = gains(tech, "fp16", 64)["float"]
    int8 = gains(tech, "int8", 64)["integer"]
    exact = musts(study)["fp16_of_float_select_add_by_length"]
    return [
        f"- **(a) Up to {MULTIPLIER_GAIN} times smaller than multipliers: yes, more.** The largest gain over lanes "
        f"that multiply two numbers of a format is {most[3]['multiplier']:.1f} ({label((most[0], most[1]))}, "
        f"F = {most[2]}). Against a multiplier of INT8 by 2-bit weights it is {int8['narrow']:.2f}. Against select-add "
        f"with the same additions it is {fp16['same_select_add']:.2f} for FP16 and {int8['same_select_add']:.2f} for "
        "INT8 at F = 64: gains grow with the price of an addition, as the paper says.",
        "- **FP16 added exactly** is "
        + ", ".join(f"{gain:.2f}" for gain in exact.values())
        + " times smaller than select-add by float additions with "
        + ", ".join(map(str, exact))
        + " activations per column and cycle (F = 64): accumulator and rounding are paid once a column.",
    ]


def _size(tech: Row) -> str:
    spread = [split(tech, kind, 16) for kind in kinds(tech)]
    middle = [split(tech, kind, 4) for kind in kinds(tech)]
    return (
        f"- **(b) One large core rather than many small ones: {'yes' if min(spread) > 1 else 'no'}.** Sixteen cores of "
        f"8 fetches take {100 * (min(spread) - 1):.0f} to {100 * (max(spread) - 1):.0f} percent more area than one of "
        f"128, four of 32 take {100 * (min(middle) - 1):.0f} to {100 * (max(middle) - 1):.0f} percent more, each with "
        "its best mu."
    )


def _correction(tech: Row) -> str:
    wrong = [row["gain"] for row in corrections(tech)]
    return (
        f"- **(c) Corrected parameters save up to {CORRECTION_GAIN} times: "
        f"{'yes, more' if max(wrong) >= CORRECTION_GAIN else 'no'}.** The published parameters, in our modules, take "
        f"{min(wrong):.2f} to {max(wrong):.2f} times the area of the best ones."
    )


def _small(tech: Row) -> str:
    int8 = area(tech, ("int8", "integer"), 32), area(tech, ("int8", "integer"), 32, 1)
    return (
        f"- **Where this contradicts what was hoped for:** for INT8 a table saves {100 * (1 - int8[0] / int8[1]):.0f} "
        f"percent over our own select-add at F = 32, not {INT8_PERCENT:.0f}. A table saves half of "
        "the additions, but its four words meet a selection of their own in every column, and what makes additions "
        "cheap (see below) makes them cheapest where there are most, with mu = 1."
    )


def asked(study: Study) -> str:
    """The required figures, and whether they hold."""
    found, rows = musts(study), []
    for what in ("own", "flat", "plain", "stated"):
        values = found[f"int8_percent_of_{what}_select_add"]
        rows += [[
            f"INT8, {INT8_PERCENT:.0f} % less than select-add at F = {', '.join(map(str, values))}",
            "own, both flattened" if what == "flat" else what,
            ", ".join(f"{value:.1f} %" for value in values.values()), _holds(min(values.values()) >= INT8_PERCENT),
        ]] if values else []  # fmt: skip
    times = f"FP16, {MULTIPLIER_GAIN} times smaller than"
    for how, value in found["fp16_of_multiplier"].items():
        rows.append([f"{times} multipliers at F = 64", f"{how} additions", f"{value:.2f}", _more(value)])
    alone = f"{times} select-add at F = 64"
    for how, value in found["fp16_of_same_select_add"].items():
        rows.append([alone, f"own, both {how}", f"{value:.2f}", _more(value)])
    for acts, value in found["fp16_of_float_select_add_by_length"].items():
        rows.append(
            [alone, f"own by float additions, ours exact, {acts} a cycle", f"{value:.2f}", _more(value)]
        )
    for how, value in found["fp16_of_stated_select_add"].items():
        rows.append([alone, f"stated, ours {how}", f"{value:.2f}", _more(value)])
    lines = [ASKED, table(["asked", "against", "figure", "holds"], rows, 2), "", *_smaller(study)]
    return "\n".join(lines)


def _smaller(study: Study) -> list[str]:
    """Area that an optimization missing in the generator would save."""
    tech = study["technologies"]["asap7"]
    return [_rounding(tech)] if tech["variants"] else []


def _rounding(tech: Row) -> str:
    """Effect of one rounding for all columns."""
    row, acts = _variant(tech, "rounding", "one for 64"), min(lengths(tech))
    saved = (row["ours_um2"] - row["um2"]) / acts
    own = area(tech, ("fp16", "exact"), 64)
    gain = area(tech, ("fp16", "float"), 64, 1) / (own - saved)
    return (
        f"Every column of an exact core rounds its own result, "
        f"{row['ours_um2'] / acts / own:.0%} of the area with {acts} activations a cycle. Results that left one after "
        f"the other could share one: {row['um2']:.1f} um2 a column instead of {row['ours_um2']:.1f}, and FP16 at "
        f"F = 64 would be {gain:.2f} times smaller than select-add by float additions. The generator does not do this."
    )


def _variant(tech: Row, what: str, variant: str) -> Row:
    return next(
        row for row in tech["variants"] if row["what"].startswith(what) and row["variant"].startswith(variant)
    )


def _more(value: float) -> str:
    return _holds(value > MULTIPLIER_GAIN)


def _holds(condition: bool) -> str:
    return "yes" if condition else "**no**"
