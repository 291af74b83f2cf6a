"""A checkpoint on the Verilog of a system: text and cycles, equal to the golden model's and the simulator's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from blueprint.systems import control
from blueprint.systems.description import System
from blueprint.systems.reader import read_system
from simulator.systems import decoding, proving, rtl
from ternforge.decoding import Asked, clock_of, drawn_by, opened, picture_of, port, prompts_of, told_of
from ternforge.session import Answer, Note, paced, silent
from toolchain import files


def verify_system(
    file: System | str | Path, checkpoint: str | Path, asked: Asked, note: Note = silent
) -> Answer:
    """Run a prompt on Verilated RTL; ``ok`` is false where a token, a stored byte or a cycle is another."""
    system = file if isinstance(file, System) else read_system(file)
    behavior = port(system, asked.memory, clock_of(system))
    trained = opened(checkpoint)
    given = prompts_of(trained, asked)
    hardware = control.hardware(system)
    picture = picture_of(system, hardware, trained, asked, note)
    decoded = decoding.decode(
        hardware, picture, given[0], asked.tokens, behavior, beside=given[1:], stop=trained.decoder.eos,
        told=paced(note, "simulated {} of {} passes"),
    )  # fmt: skip
    with files.scratch() as scratch:
        from generator import system_export as export

        note(f"writing the Verilog of {system.name}")
        manifest = export.write_system(hardware, scratch)
        note("building with Verilator")
        bench = rtl.of_folder(hardware, manifest, scratch)
    note(f"running {decoded.cycles:,} cycles")
    proof = proving.prove(hardware, bench, picture, given[0], decoded, behavior, beside=given[1:])
    (tokens, text), beside = told_of(trained, proof.tokens, asked), []
    for prompt, made in zip(asked.beside, proof.beside, strict=True):
        mine, words = told_of(trained, made, asked)
        beside.append({"prompt": prompt, "tokens": mine, "text": words})
    return {
        "system": system.name,
        "model": trained.decoder.model.name,
        "design_hash": hardware.design_hash,
        "source": "Verilator",
        "memory": asked.memory,
        **drawn_by(asked),
        "ok": proof.ok,
        "findings": proof.findings,
        "prompt": asked.prompt,
        "tokens": tokens,
        "text": text,
        "tokens_simulator": told_of(trained, decoded.tokens, asked)[0],
        **({"beside": beside} if beside else {}),
        "instructions": proof.instructions,
        "cycles_rtl": proof.cycles,
        "cycles_simulator": decoded.cycles,
        "status": proof.status,
    }


def verify_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The comparison as text for people."""
    yield f"{answer['model']} on {answer['system']}, memory {answer['memory']} ({answer['source']})"
    yield from (f"{one['prompt']}{one['text']}" for one in (answer, *answer.get("beside", [])))
    yield (
        f"{len(answer['tokens'])} tokens, {answer['instructions']:,} instructions, {answer['cycles_rtl']:,} cycles of "
        f"the RTL, {answer['cycles_simulator']:,} of the simulator"
    )
    yield from (f"FAIL: {finding}" for finding in answer["findings"])
    if answer["ok"]:
        yield "ok: tokens, stored bytes, and begin and end of every instruction are those of the golden model"
