"""The metrics of a design point.

A number that counts work is named for the work it covers. Of a plain workload that is all of it, by rows of the answer
(``rows_per_second``); of a model it is the part that the family runs, by tokens (``ternary_tokens_per_second``,
``attention_tokens_per_second``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from blueprint.workloads.tasks import TASKS


@dataclass(frozen=True)
class Metric:
    """Unit and meaning of one number.

    ``direction`` is what most people want of it, ``base`` its key in :data:`BASES`.
    """

    unit: str
    label: str
    meaning: str
    direction: str
    base: str = ""


#: Meaning of each number for any kind of work; ``{part}`` and ``{one}`` stand for the part of the work and its unit.
BASES: dict[str, Metric] = {
    "area_um2": Metric("um2", "area", "cell and memory area of the whole accelerator", "min"),
    "logic_area_um2": Metric("um2", "logic area", "cell area of the accelerator without its memories", "min"),
    "memory_area_um2": Metric("um2", "memory area", "area of the accelerator's memories", "min"),
    "flip_flops": Metric("", "flip-flops", "flip-flops of the whole accelerator", "min"),
    "critical_path_ps": Metric("ps", "critical path", "slowest register-to-register path", "min"),
    "clock_mhz": Metric(
        "MHz",
        "clock",
        "the clock that is asked for, or without one the highest, 1e6 / critical_path_ps",
        "max",
    ),
    "peak_macs": Metric("MAC/cycle", "peak", "multiply-accumulates per cycle when nothing waits", "max"),
    "cycles": Metric(
        "", "cycles", "compute cycles of one pass over the work, waits for DRAM not counted", "min"
    ),
    "tokens_per_second": Metric("{one}/s", "{part}throughput", "{one}s per second", "max"),
    "time_to_first_token_s": Metric("s", "{part}time to first token", "one pass over the prompt", "min"),
    "energy_pj_per_token": Metric("pJ", "{part}energy per {one}", "core and DRAM energy of one {one}", "min"),
    "core_energy_pj_per_token": Metric(
        "pJ", "{part}core energy per {one}", "energy of one {one} without DRAM, waiting included", "min"
    ),
    "power_mw": Metric("mW", "power", "energy per {one} times {one}s per second, DRAM included", "min"),
    "utilization": Metric("", "utilization", "MACs done over MACs possible in that time", "max"),
    "area_efficiency": Metric(
        "TOPS/mm2",
        "work per area",
        "operations of the work (two a MAC) per second and area, waits included",
        "max",
    ),
    "energy_efficiency": Metric(
        "TOPS/W",
        "work per energy",
        "operations of the work (two a MAC) per core energy, waits included",
        "max",
    ),
    "clock_margin": Metric(
        "",
        "clock margin",
        "highest clock over the clock that the space asks for; at least 1 where it is met",
        "max",
    ),
    "dram_share": Metric("", "DRAM-bound time", "share of the time in which DRAM is the bottleneck", "min"),
}
#: Those of whole decoders, whose names have no part: they cover all of a model. What of a meaning is not as above.
_OF_SYSTEMS: dict[str, str] = {
    "area_um2": "area of units and buffers, and of what stands around them where the system is compiled",
    "critical_path_ps": "slowest register-to-register path of the units, and of what stands around them",
    "clock_mhz": "",
    "cycles": "cycles of a token, waits for memory included",
    "tokens_per_second": "tokens decoded per second",
    "time_to_first_token_s": "the passes of the prompt, with the choice of the first token",
    "energy_pj_per_token": "energy of a token: units, buffers, external memory, and a host that states its power",
    "power_mw": "",
    "clock_margin": "",
}
#: Names of the numbers that count work, for a plain workload, which has no prompt.
_OF_ROWS = {
    "tokens_per_second": "rows_per_second",
    "time_to_first_token_s": None,
    "energy_pj_per_token": "energy_pj_per_row",
    "core_energy_pj_per_token": "core_energy_pj_per_row",
}
#: Parts of a model that a family runs, with their descriptions.
PARTS = {task.part: task.part_words for task in TASKS}


def scope(part: str) -> str:
    """The work that the metrics of a space cover, in words."""
    return f"only {PARTS[part]}" if part else "the whole workload"


def name_of(base: str, part: str) -> str | None:
    """The name of a number for a part of a model, or for a plain workload (``""``); ``None`` where it has none."""
    if base not in _OF_ROWS:
        return base
    return f"{part}_{base}" if part else _OF_ROWS[base]


def metrics_of(part: str) -> dict[str, Metric]:
    """The numbers of designs that run a part of a model, or a plain workload (``""``), by name."""
    words = {"part": f"{part} " if part else "", "one": "token" if part else "row"}
    named = {name_of(base, part): (base, metric) for base, metric in BASES.items()}
    return {
        name: Metric(
            metric.unit.format(**words),
            metric.label.format(**words),
            metric.meaning.format(**words) + (f", for {scope(part)}" if part and base in _OF_ROWS else ""),
            metric.direction,
            base,
        )
        for name, (base, metric) in named.items()
        if name is not None
    }


def metrics_of_systems() -> dict[str, Metric]:
    """The numbers of whole decoders by name."""
    found = {}
    for name, meaning in _OF_SYSTEMS.items():
        metric, words = BASES[name], {"part": "", "one": "token"}
        text = meaning or metric.meaning.format(**words)
        found[name] = Metric(
            metric.unit.format(**words), metric.label.format(**words), text, metric.direction, name
        )
    busy = "share of the time of a token in which the ports of external memory move data"
    return {
        **found,
        "bytes_per_token": Metric(
            "B", "traffic per token", "bytes to and from external memory", "min", "bytes_per_token"
        ),
        "port_busy": Metric("", "ports busy", busy, "max", "port_busy"),
    }


#: Every number of every kind of work.
METRICS: dict[str, Metric] = {
    **metrics_of_systems(),
    **{name: metric for part in ("", *PARTS) for name, metric in metrics_of(part).items()},
}


def counterpart(name: str, allowed: Iterable[str]) -> str | None:
    """The metric in ``allowed`` that corresponds to ``name`` for other work; ``None`` if it has none."""
    base = METRICS[name].base if name in METRICS else name
    same = (other for other in allowed if other in METRICS and METRICS[other].base == base)
    return next(same, None) if base in BASES else None
