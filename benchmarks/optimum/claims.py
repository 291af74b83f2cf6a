"""The paper's claims, answered: sections of docs/optimum.md."""

from __future__ import annotations

from benchmarks.optimum.baselines import STATED
from benchmarks.optimum.conclusions import (
    CORRECTION_GAIN,
    MULTIPLIER_GAIN,
    Row,
    Study,
    area,
    best,
    corrections,
    gains,
    kinds,
    lengths,
    long,
    long_gain,
    split,
)
from benchmarks.optimum.markdown import number, table
from benchmarks.optimum.plots import label


def gain_section(study: Study) -> str:
    """Claim (a)."""
    parts = [
        "## (a) Gain over multipliers and over select-add\n\nHow many times smaller the best design is. *Multiplier*: "
        "lanes that multiply two numbers of the format and add in the same order (integers: carry-save over bit "
        "planes); *by 2 bits*: the same with 2-bit weights, which for floats is select-add. *Select-add*: our own "
        "design with mu = 1, for floats by float additions; *same additions*: with mu = 1 and the arithmetic of the "
        "row."
    ]
    for name, tech in study["technologies"].items():
        rows = []
        for kind in kinds(tech):
            found = [gains(tech, kind[0], count)[kind[1]] for count in (32, 64, 128)]
            keys = ("multiplier", "narrow", "select_add", "same_select_add")
            rows.append([label(kind), *(_times(found, key) for key in keys)])
        head = ["multiplier", "by 2 bits", "select-add", "same additions"]
        parts.append(f"{name}, F = 32, 64 and 128:\n\n" + table(["numbers", *head], rows))
    parts += ["![Gains](optimum_gain.svg)", _long_table(study)]
    tech = study["technologies"]["asap7"]
    other = tech["select_add"]
    parts.append(
        "INT8 in asap7 against select-add made otherwise, um2 per MAC: ours with mu = 1 "
        f"{area(tech, ('int8', 'integer'), 32, 1):.2f}, written plainly "
        f"{other['written plainly']['um2_per_mac']:.2f}, stated elsewhere {STATED['select-add']}, "
        f"published structure {other['published structure']['um2_per_mac']:.2f} "
        f"(every word 32 bits). Multipliers stated elsewhere: INT8 x 2 bits {STATED['int8 x 2-bit multiplier']}, "
        f"INT8 x INT8 {STATED['int8 x int8 multiplier']}; ours are smaller, so the gains here are not flattered. "
        f"{_between(tech)} Why floats gain most: a table saves additions and costs selections. Of select-add, "
        f"the additions take {_ratio(tech, ('fp16', 'float')):.0f} times the selections in FP16 and "
        f"{_ratio(tech, ('int8', 'integer')):.1f} times in INT8, where moreover every word grows by a bit."
    )
    return "\n\n".join(parts)


def _times(found: list[Row], key: str) -> str:
    return ", ".join(f"{item[key]:.2f}" for item in found if item[key] is not None)


def _ratio(tech: Row, kind: tuple[str, str]) -> float:
    """Area of the lane over that of the fetches, with mu = 1."""
    row = best(tech, kind, 64, 1)
    return float(row["modules"]["lane"] / (row["tables"] * row["modules"]["fetch"]))


def _long_table(study: Study) -> str:
    parts = [
        "Longer columns at F = 64: um2 per MAC of the best mu, and how many times smaller than select-add by float "
        "additions (INT8: than our own with mu = 1) of the same length that is."
    ]
    for name, tech in study["technologies"].items():
        rows = []
        for kind, over in (
            (("int8", "integer"), "integer"),
            (("fp16", "float"), "float"),
            (("fp16", "exact"), "float"),
        ):
            cells = []
            for acts in lengths(tech):
                row = long(tech, acts, kind)
                gain = long_gain(tech, acts, kind, over)
                cells.append(f"{row['mu']}: {number(row['um2_per_mac']['64'])}, {gain:.2f}")
            rows.append([label(kind), *cells])
        head = [f"{acts} a cycle" for acts in lengths(tech)]
        parts.append(f"{name}:\n\n" + table(["numbers", *head], rows))
    return "\n\n".join(parts)


def size_section(study: Study) -> str:
    """Claim (b)."""
    cores = (1, 2, 4, 16)
    parts = [
        "## (b) One large core or many small ones\n\nArea at equal throughput, one core of 128 fetches = 1; every "
        "size with its best mu."
    ]
    for name, tech in study["technologies"].items():
        rows = []
        for kind in kinds(tech):
            groups = "/".join(str(best(tech, kind, 128 // count)["mu"]) for count in cores)
            rows.append([label(kind), *(f"{split(tech, kind, count):.3f}" for count in cores), groups])
        head = [f"{count} x {128 // count}" for count in cores]
        parts.append(f"{name}:\n\n" + table(["numbers", *head, "best mu"], rows))
    parts.append("![Many cores](optimum_size.svg)")
    return "\n\n".join(parts)


def correction_section(study: Study) -> str:
    """Claim (c)."""
    parts = [
        "## (c) Published parameters corrected\n\nEach published design as its parameters in our modules, against "
        "the best design of the same numbers, additions and F. Bit-serial weights are one bit wide: a half table of "
        "sums with signs and no zero, two cycles per ternary weight, so half the throughput."
    ]
    for name, tech in study["technologies"].items():
        rows = [
            [row["name"], row["format"], row["mu"], row["tables"], row["fetches"], number(row["um2_per_mac"]),
             f"mu = {row['best_mu']}: {number(row['best_um2'])}", f"{row['gain']:.2f}"]
            for row in corrections(tech)
        ]  # fmt: skip
        head = ["design", "numbers", "group", "tables", "F", "um2 per MAC", "best", "times smaller"]
        parts.append(f"{name}:\n\n" + table(head, rows, 2))
    parts.append(
        f"More than the paper's {CORRECTION_GAIN}, for three reasons. Selections do not get cheaper with more columns: "
        "27 or 121 entries suit the memories of an FPGA or a wide shared table, not gates. One table per column "
        "leaves a whole accumulator to four weights. One-bit planes take two cycles for a ternary weight. Bit-serial "
        "FP16 comes closest, because there a selection is cheap beside an addition. " + _single_parts(study)
    )
    return "\n\n".join(parts)


def _single_parts(study: Study) -> str:
    """TeLLMe's loss as that of its table style and that of its group size."""
    tech = study["technologies"]["asap7"]
    row = next(row for row in corrections(tech) if row["style"] == "full")
    half = area(tech, (row["format"], row["arithmetic"]), row["fetches"], row["mu"])
    return (
        f"A single wrong parameter costs less: of the {row['gain']:.2f} of TeLLMe the full table is "
        f"{row['um2_per_mac'] / half:.2f} and the group of {row['mu']} is {half / row['best_um2']:.2f}."
    )


def _between(tech: Row) -> str:
    """Position of the paper's figure among ours."""
    rows = [gains(tech, name, 64) for name in ("int4", "int8", "int16")]
    narrow, full = ([row["integer"][key] for row in rows] for key in ("narrow", "multiplier"))
    fp16 = gains(tech, "fp16", 64)["float"]
    return (
        f"The paper's {MULTIPLIER_GAIN} lies between the two things that a multiplier can be: one that knows weights "
        f"of 2 bits (ours are {min(narrow):.2f} to {max(narrow):.2f} times smaller for integers, and "
        f"{fp16['select_add']:.2f} for FP16, where that is select-add), and one that multiplies two numbers of the "
        f"format, which grows with the square of their width (up to {max(full):.1f} times smaller)."
    )


def variant_section(tech: Row) -> str:
    """Hardware variants, for the decision record."""
    if not tech["variants"]:
        return ""
    rows = [
        [row["what"], row["variant"], number(row["ours_um2"]), number(row["um2"]),
         f"{100 * (row['um2'] / row['ours_um2'] - 1):+.0f} %" if row["ours_um2"] else "",
         f"{row['ours_ns']:.2f}", f"{row['ns']:.2f}"]
        for row in tech["variants"]
    ]  # fmt: skip
    head = ["module", "variant", "ours um2", "variant um2", "", "ours ns", "variant ns"]
    text = "## Hardware variants, asap7\n\nOne module each; what was decided stands in "
    text += "[ADR 3](adr/0003-lut-hardware.md).\n\n"
    return text + table(head, rows, 2)
