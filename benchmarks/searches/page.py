"""The tables of docs/searches.md: hyperparameters from the code, evaluations from docs/searches.json."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmarks.markdown import rewritten, table
from benchmarks.searches.measure import SHARES
from benchmarks.searches.runs import BUDGET, METHODS, OPTUNA_BUDGET, PEERS, ROOT, VARIANTS
from dse.searches import methods
from dse.searches.methods import DEFAULT

PAGE = ROOT / "docs" / "searches.md"
#: What peers are called.
_NAMES = {"pymoo": "NSGA-II of pymoo", "optuna": "NSGA-II of Optuna"}
Runs = list[list[int | None]]


def page(text: str, results: dict[str, Any]) -> str:
    """The page with its tables written again. Raises ``ValueError`` where a mark is missing."""
    parts = {
        "hyperparameters": lambda: table(hyperparameters()),
        "spaces": lambda: table(spaces(results)),
        "measured": lambda: "\n\n".join(table(measured(results, place)) for place in range(len(SHARES))),
        "sensitivity": lambda: table(sensitivity(results)),
    }
    return rewritten(text, PAGE, parts)


def hyperparameters() -> Iterator[list[str]]:
    """Every hyperparameter of every method, with its default and limits."""
    yield ["method", "hyperparameter", "default", "from, to", "what it is"]
    for method in methods.ours()[1:]:
        for name, option in methods.options(method).items():
            limits = f"{option.minimum:g}, {option.maximum:g}"
            yield [f"`{method}`", f"`{name}`", f"{option.default:g}", limits, option.text]


def spaces(results: dict[str, Any]) -> Iterator[list[str]]:
    """The spaces of the benchmark."""
    yield ["space", "designs", "feasible", "points on the exact front", "objectives"]
    for name, facts in results["spaces"].items():
        objectives = ", ".join(f"`{goal}`" for goal in facts["objectives"])
        yield [name, f"{facts['designs']:,}", f"{facts['feasible']:,}", str(facts["front"]), objectives]


def typical(runs: Runs, place: int) -> float:
    """The median over seeds of the evaluations to a share; infinite where less than half of the seeds reached it."""
    return median(float("inf") if run[place] is None else float(run[place] or 0) for run in runs)


def text_of(runs: Runs, place: int, budget: int) -> str:
    """The median and the range of the middle half, or how many seeds reached the share at all."""
    reached = sorted(number for run in runs if (number := run[place]) is not None)
    middle = typical(runs, place)
    if middle == float("inf"):
        return f"> {budget:,} ({len(reached)} of {len(runs)})"
    ends = sorted(float("inf") if run[place] is None else float(run[place] or 0) for run in runs)
    low, high = ends[len(ends) // 4], ends[-1 - len(ends) // 4]
    upper = f"> {budget:,}" if high == float("inf") else f"{high:,.0f}"
    some = "" if len(reached) == len(runs) else f"; {len(reached)} of {len(runs)}"
    return f"**{middle:,.0f}** ({low:,.0f} to {upper}{some})"


def measured(results: dict[str, Any], place: int) -> Iterator[list[str]]:
    """Evaluations of every search on every space to one of the shares."""
    share = f"{100 * SHARES[place]:g} %"
    yield [f"evaluations to {share}", *results["spaces"]]
    for label in (DEFAULT, *METHODS, *PEERS):
        budget = OPTUNA_BUDGET if label == "optuna" else BUDGET
        name = _NAMES.get(label, f"`{label}`" + (" (`auto`)" if label == DEFAULT else ""))
        yield [name, *(text_of(results["runs"][space][label], place, budget) for space in results["spaces"])]


def sensitivity(results: dict[str, Any]) -> Iterator[list[str]]:
    """Evaluations to 99 % under other hyperparameters, over those under the defaults, with the same seeds."""
    yield ["method", "hyperparameter", *results["spaces"]]
    for method, variants in VARIANTS.items():
        for options in variants:
            (name, value), *_ = options.items()
            label = f"{method} {name}={value}"
            ratios = [ratio(results["runs"][space], method, label) for space in results["spaces"]]
            yield [f"`{method}`", f"`{name}: {value:g}`", *ratios]


def ratio(runs: dict[str, Runs], method: str, label: str, place: int = 1) -> str:
    """Evaluations of a variant over those of the defaults."""
    other = typical(runs[label], place)
    plain = typical(runs[method][: len(runs[label])], place)
    if plain == float("inf"):
        return "-" if other == plain else f"{other:,.0f} : > {BUDGET:,}"
    return f"> {BUDGET / plain:.1f}" if other == float("inf") else f"{other / plain:.2f}"


def best_peer(results: dict[str, Any], space: str, place: int) -> float:
    """The fewest evaluations of the peers."""
    runs = results["runs"][space]
    return min(typical(runs[peer], place) for peer in PEERS)
