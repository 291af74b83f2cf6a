"""docs/optimum.md from the study's document: the same document always gives the same page."""

from __future__ import annotations

from benchmarks.optimum import answers, claims
from benchmarks.optimum.conclusions import Row, Study, area, best, kinds, picks
from benchmarks.optimum.markdown import number, style, table
from benchmarks.optimum.plots import label
from benchmarks.optimum.study import WHOLE

HEAD = """# The optimum as data: ternary look-up tables against multipliers and select-add

Written by `python -m benchmarks.optimum` out of `docs/optimum.json`, which the same command measures; nothing on this
page is typed by hand. Geens et al. (*ternary LUT DSE*, ISPASS 2026; below "the paper") claim up to 2.2 times less area
than multipliers, one large core rather than many small ones, and up to 1.2 times less area for published designs with
corrected parameters. This page answers with figures of our own.

**What is measured.** Cores without shell that add 24 activations per output column and cycle (L = 24 / mu tables; 25
for mu = 5, divided by what they do), one column group of F columns, accumulators in registers, k up to 6912. Tables,
fetches and lanes are synthesized for least area; exact sums include the conversion of every activation, the register
behind it, and the rounding of every result. A core is the sum of its modules (see *Sums of modules*).
Areas are cell areas without wires, per multiply-accumulate (MAC) of a cycle. Delays are static timing without wires,
energies those of gate-level switching on random data without glitches, wires and clock tree.

Synthesis is by the recipe `area/4`; predictions of `asap7` are those of its former model, fitted by that recipe
(today it is of [`buffered/1`](cost_model.md#calibration)).

**How floats are added.** `float`: float additions in order, each rounded. `exact`: fixed point, one rounding at the
end. A sum of bf16 does not fit in the 54 bits that exact sums have."""


def page(study: Study) -> str:
    """The whole page."""
    first = study["technologies"]["asap7"]
    parts = [HEAD, answers.answers(study), answers.asked(study), _published_table(study)]
    for name, tech in study["technologies"].items():
        parts.append(f"## Best group size, {name}\n\n" + _optimum(tech, study["fetches"]))
    parts.append("![Area per MAC against fetches](optimum_mu.svg)")
    parts += [claims.gain_section(study), claims.size_section(study), claims.correction_section(study)]
    parts += [_model_section(study), _whole(study), claims.variant_section(first), LIMITS]
    return "\n\n".join(part for part in parts if part) + "\n"


def _optimum(tech: Row, fetches: list[int]) -> str:
    """Best group size and its area for every F."""
    rows = []
    for kind in kinds(tech):
        found = [best(tech, kind, count) for count in fetches]
        cells = [
            f"{row['mu']}: {number(row['um2_per_mac'][str(count)])}"
            for row, count in zip(found, fetches, strict=True)
        ]
        rows.append([label(kind), *cells, style(found[-1]), number(area(tech, kind, fetches[-1], 1))])
    head = ["numbers", *(f"F = {count}" for count in fetches), "style", "mu = 1"]
    return (
        "Best mu and its um2 per MAC; the last column is select-add, our own design with mu = 1.\n\n"
        + table(head, rows)
    )


def _published_table(study: Study) -> str:
    """Area, delay and energy of the best design per format."""
    parts = [f"## Best design per format\n\nCores of {WHOLE} fetches, mapped, timed and run as a whole."]
    for name, tech in study["technologies"].items():
        rows = []
        for kind in kinds(tech):
            cores = [
                row
                for row in tech["cores"]
                if (row["format"], row["arithmetic"]) == kind and row["acts"] <= 25
            ]
            ours, alone = (
                min(found, key=lambda row: float(row["um2_per_mac"]))
                for found in (cores, [row for row in cores if row["mu"] == 1])
            )
            other = tech["baselines"][kind[0]]["full"]
            rows.append(
                [
                    label(kind),
                    f"mu = {ours['mu']}, {style(ours)}",
                    *_three(ours),
                    *_three(alone),
                    *_three(other),
                ]
            )
        what = ("um2", "ns", "fJ")
        head = [
            "numbers",
            f"best ({name})",
            *what,
            *(f"{w}, mu = 1" for w in what),
            *(f"{w}, multiplier" for w in what),
        ]
        parts.append(table(head, rows, 2))
    parts.append(
        "The multiplier multiplies two numbers of the format, 24 products added and accumulated per lane; one that "
        "multiplies by a 2-bit weight takes "
        + ", ".join(
            f"{number(item['2-bit weight']['um2_per_mac'])} um2 ({kind})"
            for kind, item in study["technologies"]["asap7"]["baselines"].items()
            if "2-bit weight" in item
        )
        + " per MAC in asap7. Energies and areas are per MAC. Float additions of a cycle follow each other without "
        "registers here; `adder_stages` of the family puts registers between them, exact sums are short without."
    )
    return "\n\n".join(parts)


def _three(row: Row) -> list[str]:
    return [number(row[key]) for key in ("um2_per_mac", "ns", "fj_per_mac")]


def _model_section(study: Study) -> str:
    """The cost model's winners, and what synthesis says of them and of their neighbors."""
    parts = [
        "## The cost model's choice, confirmed by synthesis\n\nFor every F the cost model weighs all mu from 1 to 6, "
        "both table styles and both reductions (`Spec.columns`), and its winner and every design that differs from "
        "it in one choice (mu by one, style, reduction) are synthesized. Cells: the winner's mu, style and reduction, "
        "its um2 per MAC as predicted and as synthesized."
    ]
    for name, tech in study["technologies"].items():
        found = picks(tech)
        if found:
            parts.append(f"{name}: {_verdict(tech, found)}\n\n" + _choices(study, found))
            parts.append(_neighbors(found))
    return "\n\n".join(parts)


def _verdict(tech: Row, found: list[Row]) -> str:
    """Share of correct choices of the model, and the cost of wrong ones."""
    same = sum(item["chosen"] is item["right"] for item in found)
    groups = sum(item["chosen"]["mu"] == item["right"]["mu"] for item in found)
    loss, error = max(item["loss"] for item in found), max(abs(item["error"]) for item in found)
    unknown = [label(kind) for kind in kinds(tech) if kind not in {item["kind"] for item in found}]
    without = f" Not calibrated for {', '.join(unknown)}." if unknown else ""
    return (
        f"of {len(found)} winners {groups} have the mu, and {same} are the very design, that is smallest of all "
        f"synthesized; the others cost at most {loss:.1%} of area. Predicted areas of winners are off by at most "
        f"{error:.1%}.{without}"
    )


def _choices(study: Study, found: list[Row]) -> str:
    rows = []
    for kind in dict.fromkeys(item["kind"] for item in found):
        row = [item for item in found if item["kind"] == kind]
        rows.append([label(kind), *(_cell(item) for item in row)])
    return table(["numbers", *(f"F = {count}" for count in study["fetches"])], rows)


def _cell(item: Row) -> str:
    mark = "" if item["chosen"] is item["right"] else " *"
    chosen = item["chosen"]
    return f"{chosen['mu']} {style(chosen)}: {number(item['predicted'])}, {number(item['measured'])}{mark}"


def _neighbors(found: list[Row]) -> str:
    """The neighbors of the winners at F = 64."""
    rows = []
    for item in (item for item in found if item["fetches"] == 64):
        cells = [
            f"{row['mu']} {style(row)}: {number(row['um2_per_mac']['64'])}"
            for row in sorted(item["near"], key=lambda row: float(row["um2_per_mac"]["64"]))
        ]
        rows.append([label(item["kind"]), _cell(item), "; ".join(cells)])
    return (
        "Winners at F = 64 and their neighbors as synthesized:\n\n"
        + table(["numbers", "winner", "neighbors"], rows, 3)
        + "\n\nA star: something smaller was synthesized."
    )


def _whole(study: Study) -> str:
    """Sums of modules beside cores flattened before mapping."""
    parts = [
        "## Sums of modules\n\nEvery distinct module is mapped once, and a core is the sum of its modules. Small cores "
        "flattened before mapping, so that gates may cross the borders of modules, come out a few percent larger or "
        "smaller: a mapper's luck, not hardware, and what differences between designs have to be read against."
    ]
    for name, tech in study["technologies"].items():
        rows = [
            [label((row["format"], row["arithmetic"])), row["mu"], row["fetches"], number(row["um2"]),
             number(row["flat_um2"]), f"{100 * (row['flat_um2'] / row['um2'] - 1):+.1f} %"]
            for row in tech["flat"]
        ]  # fmt: skip
        if rows:
            head = ["numbers", "mu", "F", "um2, sum of modules", "um2, flattened", ""]
            parts.append(f"{name}:\n\n" + table(head, rows))
    return "\n\n".join(parts)


LIMITS = """## Limits

- Least-area mapping: adders ripple, nothing is sized. A faster recipe adds the same kinds of cells to all designs.
- No wires. A mux of many entries has many, so large mu would look worse with them.
- A core of ours has no shell, control or accumulator memory; the baselines have none either. Many small cores would
  pay them many times, which is not in claim (b).
- Float additions in order give other sums than exact ones; which is wanted is a question of the model, not of area.
- The published designs are their parameters in our modules, not their RTL: the comparison is of parameters alone."""
