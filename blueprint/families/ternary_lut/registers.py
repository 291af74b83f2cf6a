"""The registers of the sequencer of a ternary-LUT core by name, as in the RTL: bits, 0 where a design lacks one."""

from __future__ import annotations

from blueprint import counting
from blueprint.families.ternary_lut.parameters import TernaryLutParameters
from blueprint.numbers import Number


def loader(p: TernaryLutParameters) -> dict[str, Number]:
    """Registers of the loop that loads tiles: tiles left in the run, and an active flag."""
    widths, tiled = p.size_widths, p.tiled
    return {
        "loading": 1,
        **counting.down("load_tokens", widths["tokens"], p.token_lanes, p.regroups),
        **counting.down("load_k", widths["k"], p.tile_k, p.accumulates),
        **counting.down("load_n", widths["n"], p.tile_n, tiled),
        "first_pass": p.keeps_activations,
        "kept_tile": p.kept_address_width,
        "kept_tile_full": counting.carries(p.kept_address_width),
    }


def sweeper(p: TernaryLutParameters) -> dict[str, Number]:
    """Registers of the loop that sweeps column groups: groups left, column group, and a first-tile flag."""
    widths, tiled, several = p.size_widths, p.tiled, p.tiled * p.buffered
    columns = counting.down("sweep_n", widths["n"], p.fetch_count, p.buffered * (1 - tiled))
    columns["sweep_n_left"] = columns["sweep_n_left"] + p.tile_count_width
    return {
        "sweeping": 1,
        **counting.down("sweep_tokens", widths["tokens"], p.token_lanes, p.regroups),
        **counting.down("sweep_k", widths["k"], p.tile_k, p.accumulates),
        "first_tile": p.accumulates,
        **columns,
        "first_column": several,
        "last_column": several,
        **counting.down("sweep_outputs", widths["n"], p.tile_n, tiled, shown=p.buffered),
        "column": p.address_width,
        "column_full": counting.carries(p.address_width),
    }


#: Flags of the result register.
RESULT_FLAGS = {"result_valid": 1, "result_last": 1}


def forwarding(p: TernaryLutParameters) -> Number:
    """1 where a written word is forwarded to the beat that reads it in the same cycle."""
    return p.in_sram * (p.accumulate_stages == 0)
