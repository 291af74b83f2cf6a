"""Emits blocks as Verilog text, every distinct module once."""

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import In, Out
from jinja2 import Environment, PackageLoader, StrictUndefined

from generator.block import Block
from generator.netlist import undisturbed
from toolchain import files, yosys

TEMPLATES = Environment(
    loader=PackageLoader("rtl_templates", ""), undefined=StrictUndefined, keep_trailing_newline=True,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip

#: A function that is called with the progress: parts that are done, and their total.
Told = Callable[[int, int], None]
#: Parts of the progress, and seconds of Yosys for a second of conversion (14.0 and 7.6 of a small decoder).
_PARTS, _YOSYS = 100, 1.85
#: Seconds between two reports of what Yosys should have done.
_TICK = 1.0
#: A wire of RTLIL: its width and its name.
_WIRE = re.compile(r"^  wire width (\d+) (?:\w+ \d+ )?(\S+)$", re.MULTILINE)
#: Bits for which one name is left out behind the name of a wide wire, and bits of a wide wire.
_APART, _WIDE = 128, 1024
#: Directions of ports, for the converter.
_WAYS = {In: PortDirection.Input, Out: PortDirection.Output}


@dataclass(frozen=True)
class Emitted:
    """Verilog text by module, leaves first, the top last, and how often each module is instantiated in all."""

    top: str
    modules: dict[str, str]
    instances: dict[str, int]
    places: dict[str, str]
    blackboxes: tuple[str, ...]
    stubs: dict[str, str]  # ports only, for each black box
    memories: dict[str, dict[str, Any]]  # requirements of each black box


def untold(_: int, __: int) -> None:
    """The default for ``told``: progress is not shown."""


def emit(top: Block, told: Told = untold) -> Emitted:
    """Convert ``top`` and all blocks that it instantiates; ``told`` is called with the progress."""
    blocks: dict[str, Block] = {}
    elaborated: dict[str, Any] = {}
    _collect(top, blocks, elaborated)
    plain = [name for name, block in blocks.items() if not block.template]
    begin, texts = time.monotonic(), list[str]()
    described = round(_PARTS / (1 + _YOSYS))
    for number, name in enumerate(plain, start=1):
        texts.append(_text(blocks[name], elaborated.pop(name)))
        told(max(1, described * number // len(plain)), _PARTS)
    with _ticking(told, described, (time.monotonic() - begin) * _YOSYS):
        verilog = _verilog("\n".join(texts), plain)
    modules = {
        name: _head(block) + verilog[name] if name in verilog else _template(block)
        for name, block in blocks.items()
    }
    places = {name: block.place for name, block in blocks.items()}
    stubs = {name: _template(block, stub=True) for name, block in blocks.items() if name not in verilog}
    memories = {name: blocks[name].memory for name in stubs}
    return Emitted(top.module_name, modules, _instances(top, blocks), places, tuple(stubs), stubs, memories)


@contextmanager
def _ticking(told: Told, begin: int, seconds: float) -> Iterator[None]:
    """While the block runs, report the share that should be done of work that takes about ``seconds``."""
    ended, since = threading.Event(), time.monotonic()

    def tick() -> None:
        while not ended.wait(_TICK):
            share = min(1.0, (time.monotonic() - since) / max(seconds, _TICK))
            told(begin + int(share * (_PARTS - 1 - begin)), _PARTS)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _collect(block: Block, blocks: dict[str, Block], elaborated: dict[str, Any]) -> None:
    """Elaborate ``block`` and what it uses, which comes before it; a name seen before is the same module."""
    if block.module_name in blocks or block.module_name in elaborated:
        return
    if not block.template:
        _ports(block)  # by which the wires of its ports have their names
        with undisturbed():
            elaborated[block.module_name] = block.elaborate(None)
    for child, _ in block.children.values():
        _collect(child, blocks, elaborated)
    blocks[block.module_name] = block


def _ports(block: Block) -> dict[str, Any]:
    """Ports as the converter takes them."""
    return {name: (signal, _WAYS[flow]) for name, (flow, signal) in block.pins.items()}


def _text(block: Block, elaborated: Any) -> str:
    """A block as RTLIL."""
    with undisturbed():
        text = rtlil.convert(elaborated, name=block.module_name, ports=_ports(block), emit_src=False)
    return str(text).replace("cell \\$pos ", "cell $pos ")  # a cell of Yosys, not a module


def _instances(top: Block, blocks: dict[str, Block]) -> dict[str, int]:
    counts = dict.fromkeys(blocks, 0)
    counts[top.module_name] = 1
    for name in reversed(blocks):
        for child, (_, count) in blocks[name].children.items():
            counts[child] += counts[name] * count
    return counts


def _apart(text: str) -> str:
    """The same RTLIL with unused wires behind wide ones, which Yosys removes again.

    Yosys (0.70) hashes a bit by the number of its wire's name and its place in the wire. Bits of wide wires whose names
    follow each other fall on the same hashes, so that cleaning words of 300,000 bits took eight times as long.
    """
    widest: dict[str, int] = {}
    for width, name in _WIRE.findall(text):
        widest[name] = max(int(width), widest.get(name, 0))
    fresh = itertools.count()

    def behind(wire: re.Match[str]) -> str:
        width = widest.pop(wire[2], 0)  # a name has its number where it is first read
        count = width // _APART if width >= _WIDE else 0
        return wire[0] + "".join(f"\n  wire $apart${next(fresh)}" for _ in range(count))

    return _WIRE.sub(behind, text)


def _verilog(text: str, names: list[str]) -> dict[str, str]:
    """RTLIL to one Verilog module text per name."""
    with files.scratch("ternforge-emit-") as folder:
        (folder / "design.il").write_text(_apart(text))
        # Initial values are dropped: a chip has none, so whatever needs one has a reset.
        lines = [
            "read_rtlil design.il",
            "setattr -mod -unset top",
            "proc -noopt -norom",
            "setattr -unset init w:*",
        ]
        lines += ["opt_clean", "opt_dff", "opt_clean -purge"]
        lines += [f"select {name}\nwrite_verilog -noattr -selected {name}.v" for name in names]
        script = "\n".join(lines)
        yosys.run(script, cwd=folder, timeout_s=600, writes=[f"{name}.v" for name in names])
        return {name: _strip((folder / f"{name}.v").read_text()) for name in names}


def _strip(text: str) -> str:
    """The text without the tool's own banner."""
    lines = text.splitlines()
    while lines and (lines[0].startswith("/*") or not lines[0].strip()):
        lines.pop(0)
    # The buffers of generator.block.drive are written as a unary plus.
    return "\n".join(lines).replace("= + ", "= ") + "\n"


def _head(block: Block) -> str:
    latency = block.latency
    return f"// {block.summary}\n// Latency: {latency}. Throughput: {block.throughput}.\n"


def _template(block: Block, *, stub: bool = False) -> str:
    fields = {"name": block.module_name, "summary": block.summary, "stub": stub, **block.fields}
    text = TEMPLATES.get_template(block.template)
    return text.render(latency=block.latency, throughput=block.throughput, **fields)
