"""The metrics of a whole decoder as the explorer has them (:func:`costmodel.model.metrics.metrics_of_systems`)."""

from __future__ import annotations

from costmodel.systems.estimate import Estimate


def metrics(found: Estimate) -> dict[str, float]:
    """The numbers of an estimate by name; without a prompt there is no time to the first token."""
    decode, fastest = found.phases["decode"], found.costs.fastest_mhz
    first = found.time_to_first_token_s
    return {
        "area_um2": found.costs.area_um2,
        "critical_path_ps": 1e6 / fastest,
        "clock_mhz": found.clock_mhz,
        "cycles": float(round(decode.time.seconds * found.clock_mhz * 1e6)),
        "tokens_per_second": found.tokens_per_second,
        **({} if first is None else {"time_to_first_token_s": first}),
        "energy_pj_per_token": found.energy_pj_per_token,
        "power_mw": found.power_mw,
        "clock_margin": fastest / found.clock_mhz,
        "bytes_per_token": sum(step.operation.traffic for step in decode.time.steps) / decode.tokens,
        "port_busy": decode.time.port_busy,
    }
