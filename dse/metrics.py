"""The numbers a design point is judged by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """Unit and meaning of one number; ``direction`` is what most people want of it."""

    unit: str
    label: str
    meaning: str
    direction: str


METRICS: dict[str, Metric] = {
    "area_um2": Metric("um2", "area", "cell and memory area of the whole accelerator", "min"),
    "flip_flops": Metric("", "flip-flops", "flip-flops of the whole accelerator", "min"),
    "critical_path_ps": Metric("ps", "critical path", "slowest register-to-register path", "min"),
    "clock_mhz": Metric("MHz", "clock", "highest clock, 1e6 / critical_path_ps", "max"),
    "peak_macs": Metric("MAC/cycle", "peak", "multiply-accumulates per cycle when nothing waits", "max"),
    "cycles": Metric("", "cycles", "compute cycles of one pass over the workload, memory not counted", "min"),
    "tokens_per_second": Metric("token/s", "throughput", "tokens of the workload per second", "max"),
    "time_to_first_token_s": Metric("s", "time to first token", "one pass over the prompt", "min"),
    "energy_pj_per_token": Metric("pJ", "energy per token", "core and DRAM energy of one token", "min"),
    "core_energy_pj_per_token": Metric("pJ", "core energy per token", "energy without DRAM", "min"),
    "power_mw": Metric("mW", "power", "energy per token times tokens per second, DRAM included", "min"),
    "utilization": Metric("", "utilization", "MACs done over MACs possible in that time", "max"),
    "dram_share": Metric("", "DRAM-bound time", "share of the time in which DRAM is the bottleneck", "min"),
}
