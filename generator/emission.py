"""Emits blocks as Verilog text, every distinct module once."""

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
    stubs: dict[str, str]  # of the black boxes: ports only
    memories: dict[str, dict[str, Any]]  # of the black boxes: what each must do


def emit(top: Block) -> Emitted:
    """Convert ``top`` and all blocks that it instantiates."""
    blocks: dict[str, Block] = {}
    texts: dict[str, str] = {}
    _collect(top, blocks, texts)
    plain = [name for name, block in blocks.items() if not block.template]
    verilog = _verilog("\n".join(texts[name] for name in plain), plain)
    modules = {
        name: _head(block) + verilog[name] if name in verilog else _template(block)
        for name, block in blocks.items()
    }
    places = {name: block.place for name, block in blocks.items()}
    stubs = {name: _template(block, stub=True) for name, block in blocks.items() if name not in verilog}
    memories = {name: blocks[name].memory for name in stubs}
    return Emitted(top.module_name, modules, _instances(top, blocks), places, tuple(stubs), stubs, memories)


def _collect(block: Block, blocks: dict[str, Block], texts: dict[str, str]) -> None:
    """Elaborate ``block`` and, before it, what it uses; a name seen before is the same module."""
    if block.module_name in blocks or block.module_name in texts:
        return
    if not block.template:
        ports = {name: (signal, _WAYS[flow]) for name, (flow, signal) in block.pins.items()}
        with undisturbed():
            text = rtlil.convert(block, name=block.module_name, ports=ports, emit_src=False)
        texts[block.module_name] = text.replace("cell \\$pos ", "cell $pos ")  # a cell of Yosys, not a module
    for child, _ in block.children.values():
        _collect(child, blocks, texts)
    blocks[block.module_name] = block


def _instances(top: Block, blocks: dict[str, Block]) -> dict[str, int]:
    counts = dict.fromkeys(blocks, 0)
    counts[top.module_name] = 1
    for name in reversed(blocks):
        for child, (_, count) in blocks[name].children.items():
            counts[child] += counts[name] * count
    return counts


def _verilog(text: str, names: list[str]) -> dict[str, str]:
    """RTLIL to one Verilog module text per name."""
    with files.scratch("ternforge-emit-") as folder:
        (folder / "design.il").write_text(text)
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
        yosys.run(script, cwd=folder, timeout_s=600)
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
