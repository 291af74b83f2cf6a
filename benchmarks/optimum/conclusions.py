"""Conclusions of the study: winners, gains and answers to the paper's claims, all from the JSON document."""

from __future__ import annotations

from typing import Any

from benchmarks.optimum.baselines import STATED

Row = dict[str, Any]
Study = dict[str, Any]

#: What the paper claims.
MULTIPLIER_GAIN = 2.2
CORRECTION_GAIN = 1.2
#: Required gains.
INT8_PERCENT = 20.0


def kinds(tech: Row) -> list[tuple[str, str]]:
    """(format, arithmetic) in order."""
    return list(dict.fromkeys((row["format"], row["arithmetic"]) for row in tech["designs"]))


def designs(tech: Row, kind: tuple[str, str]) -> list[Row]:
    """All designs of a kind."""
    return [row for row in tech["designs"] if (row["format"], row["arithmetic"]) == kind]


def best(tech: Row, kind: tuple[str, str], fetches: int, mu: int | None = None) -> Row:
    """The smallest design of a kind, of one group size where it is given."""
    rows = [row for row in designs(tech, kind) if mu in (None, row["mu"])]
    return min(rows, key=lambda row: float(row["um2_per_mac"][str(fetches)]))


def area(tech: Row, kind: tuple[str, str], fetches: int, mu: int | None = None) -> float:
    """Its area per multiply-accumulate of a cycle in um2."""
    return float(best(tech, kind, fetches, mu)["um2_per_mac"][str(fetches)])


def multiplier(tech: Row, name: str) -> float:
    """Area of the baseline that multiplies two numbers of the format."""
    return float(tech["baselines"][name]["full"]["um2_per_mac"])


def arithmetics(tech: Row, name: str) -> list[str]:
    """Ways to add numbers of a format."""
    return [arithmetic for known, arithmetic in kinds(tech) if known == name]


def smallest(tech: Row, name: str, fetches: int) -> tuple[str, float]:
    """Arithmetic and area of a format's smallest design."""
    return min(
        ((how, area(tech, (name, how), fetches)) for how in arithmetics(tech, name)), key=lambda item: item[1]
    )


def gains(tech: Row, name: str, fetches: int) -> Row:
    """Ratios of the area of each baseline to that of the designs of a format."""
    found: Row = {}
    first = arithmetics(tech, name)[0]  # integer, or float additions
    alone = area(tech, (name, first), fetches, 1)
    narrow = tech["baselines"][name].get("2-bit weight")
    for how in arithmetics(tech, name):
        own = area(tech, (name, how), fetches)
        found[how] = {
            "mu": best(tech, (name, how), fetches)["mu"],
            "um2": own,
            "multiplier": multiplier(tech, name) / own,
            "narrow": narrow["um2_per_mac"] / own if narrow else None,
            "select_add": alone / own,
            "same_select_add": area(tech, (name, how), fetches, 1) / own,
        }
    return found


def split(tech: Row, kind: tuple[str, str], cores: int) -> float:
    """Area of ``cores`` cores relative to one of 128 fetches, at equal throughput, each at its best."""
    return area(tech, kind, 128 // cores) / area(tech, kind, 128)


def corrections(tech: Row) -> list[Row]:
    """Published designs beside the best of the same numbers, additions and fetches."""
    found = []
    for row in tech["published"]:
        kind = (row["format"], row["arithmetic"])
        ours = best(tech, kind, row["fetches"])
        own = ours["um2_per_mac"][str(row["fetches"])]
        found.append(row | {"best_mu": ours["mu"], "best_um2": own, "gain": row["um2_per_mac"] / own})
    return found


def long(tech: Row, acts: int, kind: tuple[str, str], mu: int | None = None) -> Row:
    """The smallest design of a kind that adds ``acts`` activations a column and cycle, at F = 64."""
    rows = [
        row
        for row in tech["long"]
        if (row["acts"], row["format"], row["arithmetic"]) == (acts, *kind) and mu in (None, row["mu"])
    ]
    return min(rows, key=lambda row: float(row["um2_per_mac"]["64"]))


def long_gain(tech: Row, acts: int, kind: tuple[str, str], over: str) -> float:
    """Ratio of the area of select-add with additions ``over`` to the design's, at equal length."""
    alone = long(tech, acts, (kind[0], over), 1)["um2_per_mac"]["64"]
    return float(alone / long(tech, acts, kind)["um2_per_mac"]["64"])


def lengths(tech: Row) -> list[int]:
    """Activations a column and cycle of the longer columns and of the usual one."""
    return sorted({row["acts"] for row in tech["long"]})


def musts(study: Study) -> Row:
    """The required figures, in asap7."""
    tech = study["technologies"]["asap7"]
    int8 = ("int8", "integer")
    ours = {count: area(tech, int8, count) for count in (32, 64, 128)}
    plain = tech["select_add"]["written plainly"]["um2_per_mac"]
    fp16 = gains(tech, "fp16", 64)
    return {
        "int8_percent_of_own_select_add": {
            count: 100 * (1 - own / area(tech, int8, count, 1)) for count, own in ours.items()
        },
        "int8_percent_of_plain_select_add": {count: 100 * (1 - own / plain) for count, own in ours.items()},
        "int8_percent_of_stated_select_add": {
            count: 100 * (1 - own / STATED["select-add"]) for count, own in ours.items()
        },
        "int8_percent_of_flat_select_add": _flat_percent(tech),
        "fp16_of_multiplier": {how: item["multiplier"] for how, item in fp16.items()},
        "fp16_of_float_select_add": {how: item["select_add"] for how, item in fp16.items()},
        "fp16_of_float_select_add_by_length": {
            acts: long_gain(tech, acts, ("fp16", "exact"), "float") for acts in lengths(tech)
        },
        "fp16_of_stated_select_add": {
            how: STATED["fp16 select-add"] / area(tech, ("fp16", how), 64)
            for how in arithmetics(tech, "fp16")
        },
        "fp16_of_same_select_add": {how: item["same_select_add"] for how, item in fp16.items()},
    }


def _flat_percent(tech: Row) -> dict[int, float]:
    """Gain of the best INT8 design over select-add if both are flattened before mapping."""
    rows = {row["mu"]: row for row in tech["flat"] if row["format"] == "int8"}
    return {rows[1]["fetches"]: 100 * (1 - rows[2]["flat_um2"] / rows[1]["flat_um2"])} if rows else {}


def picks(tech: Row) -> list[Row]:
    """Every winner of the cost model beside what was synthesized: itself, its neighbors, and the smallest of all."""
    found = []
    for choice in tech["choices"]:
        kind, count = (choice["format"], choice["arithmetic"]), str(choice["fetches"])
        chosen = next(row for row in designs(tech, kind) if _steps(row, choice) == 0)
        right = best(tech, kind, choice["fetches"])
        found.append({
            "kind": kind, "fetches": choice["fetches"], "predicted": choice["um2_per_mac"],
            "chosen": chosen, "right": right, "measured": chosen["um2_per_mac"][count],
            "near": [row for row in designs(tech, kind) if _steps(row, choice) == 1],
            "loss": chosen["um2_per_mac"][count] / right["um2_per_mac"][count] - 1,
            "error": choice["um2_per_mac"] / chosen["um2_per_mac"][count] - 1,
        })  # fmt: skip
    return found


def _steps(row: Row, choice: Row) -> int:
    """Number of choices in which two designs differ; group sizes that differ by one count once."""
    apart = abs(row["mu"] - choice["mu"])
    return int(apart + sum(row[key] != choice[key] for key in ("table_style", "reduction")))
