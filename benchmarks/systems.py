"""Write what docs/systems.md shows of the presets (``python -m benchmarks.systems``): tables and block diagrams.

Tables stand between the marks ``<!-- presets -->`` and ``<!-- /presets -->``, ``published`` alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import ternforge
from benchmarks.markdown import rewritten, table
from blueprint.systems.description import System
from blueprint.systems.diagram import svg
from blueprint.systems.reader import read_system
from ternforge.session import Answer

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "systems.md"
#: Presets, the model of the page (``None`` for the largest that fits), contexts and prompt.
Asked = Mapping[str, tuple[str | None, tuple[int, ...], int]]
PRESETS: Asked = {
    "tiny_decoder": (None, (64, 255), 64),
    "edge_2b4t": ("bitnet_2b4t", (0, 1024, 4095), 512),
    "hbm_2b4t": ("bitnet_2b4t", (0, 1024, 4095), 512),
}
#: A system with the same division of work as bitnet-kv260 and its bandwidth.
HOSTED = Path(__file__).with_name("hosted_2b4t.yaml")
#: What bitnet-kv260 measured on its board (docs/measurements.md of that repository): bytes of a token in MB (ternary
#: weights, first stage of the head), and the floor of a token at the 16 GB/s of its four engines in ms.
KV260 = {"product": 417.546, "head": 65.667, "floor": 30.2, "token": 59.6}


def figure(name: str) -> Path:
    """The picture of a preset."""
    return PAGE.with_name(f"system_{name}.svg")


def system(name: str) -> System:
    """A preset."""
    return read_system(ROOT / "examples" / name / "system.yaml")


def rows(presets: Asked = PRESETS) -> Iterable[list[str]]:
    """The table of the presets: a row for each context."""
    yield [
        "preset",
        "context",
        "token/s",
        "first token [ms]",
        "µJ/token",
        "W",
        "mm²",
        "busiest part",
        "ports busy",
    ]
    for name, (model, contexts, prompt) in presets.items():
        for context in contexts:
            found = ternforge.estimate(system(name), model=model, context=context, prompt=prompt)
            decode = found["phases"]["decode"]
            yield [
                name,
                f"{context:,}",
                f"{found['tokens_per_second']:,.1f}",
                f"{1e3 * found['time_to_first_token_s']:,.1f} ({prompt} tokens)",
                f"{found['energy_pj_per_token'] / 1e6:,.1f}",
                f"{found['power_mw'] / 1e3:.3g}",
                f"{found['area_um2'] / 1e6:.3g}",
                decode["limit"]["by"],
                f"{100 * decode['port_busy']:.1f} %",
            ]


def published() -> Iterable[list[str]]:
    """Bytes and time of a token beside bitnet-kv260, which runs the same model over 16 GB/s."""
    decode = ternforge.estimate(HOSTED, model="bitnet_2b4t", context=0)["phases"]["decode"]
    moved = {kind: _bytes(decode, kind) / 1e6 for kind in ("product", "head")}
    yield ["of one token of BitNet b1.58 2B4T", "hosted_2b4t", "bitnet-kv260", "difference"]
    for kind, text in (("product", "ternary weights [MB]"), ("head", "first stage of the LM head [MB]")):
        yield [text, f"{moved[kind]:.2f}", f"{KV260[kind]:.2f}", _difference(moved[kind], KV260[kind])]
    floor = sum(moved.values()) / 16
    yield ["both at 16 GB/s [ms]", f"{floor:.1f}", f"{KV260['floor']}", _difference(floor, KV260["floor"])]
    token = 1e3 * decode["seconds"]
    yield [
        "whole token [ms]",
        f"{token:.1f}",
        f"{KV260['token']} (measured)",
        _difference(token, KV260["token"]),
    ]


def _bytes(phase: Answer, kind: str) -> int:
    return int(sum(row["bytes"] for row in phase["operations"] if row["kind"] == kind))


def _difference(ours: float, theirs: float) -> str:
    return f"{100 * (ours / theirs - 1):+.1f} %"


def page(text: str) -> str:
    """The page with its tables written again."""
    return rewritten(text, PAGE, {"presets": lambda: table(rows()), "published": lambda: table(published())})


def main() -> None:
    """Write the page and the pictures."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for name in PRESETS:
        figure(name).write_text(svg(system(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
