"""A prompt on the RTL of a whole system, compared with what the golden model and the machine say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.memory_port import MemoryPort
from compiler.image import Image
from compiler.prompts import DECODE, PROMPT
from simulator.systems import rtl
from simulator.systems.decoding import Decoded, Start
from simulator.systems.machine import Trace

_WORD = 4
#: Cycles that a run of the RTL is given beyond what it should take.
_MORE = 10_000


@dataclass(frozen=True)
class Proof:
    """Results of the RTL, and every difference in words; of a batch ``beside`` are tokens of the other sequences."""

    tokens: list[int]
    cycles: int
    status: dict[str, int]
    instructions: int
    findings: list[str]
    beside: Sequence[list[int]] = ()

    @property
    def ok(self) -> bool:
        """True if nothing differs."""
        return not self.findings


def prove(
    hardware: Hardware,
    bench: Path,
    image: Image,
    prompt: Sequence[int],
    decoded: Decoded,
    port: MemoryPort,
    timeout_s: float = 24 * 3600,
    *,
    beside: Sequence[Sequence[int]] = (),
) -> Proof:
    """Run the prompt on the RTL and compare tokens, memory, begin and end of every instruction, and the end of all.

    ``beside`` are the prompts of the other sequences of a batch, whose tokens are compared too.
    """
    prompts = [prompt, *beside]
    left = before = memory_of(image, *prompts).tobytes()
    cycles, count, findings = 0, 0, list[str]()
    for start in decoded.starts:
        job = rtl.Job(registers_of(hardware, image, start), [port] * 3, cut=start.trace.cycles + _MORE)
        (found,), left = rtl.run(bench, hardware, _put(left, start.written), [job], timeout_s)
        findings += compare(found, start.trace)
        if found.cycles < 0:
            findings.append(
                f"the program must end in cycle {start.trace.cycles}, and runs in {job.cut} still"
            )
        elif status(found) != {"done": 1}:
            findings.append(f"status must be done, not {status(found)}")
        cycles = cycles + found.cycles if found.cycles >= 0 and cycles >= 0 else -1
        count += sum(map(len, found.spans().values()))
    made = []
    for sequence, (prompt, tokens) in enumerate(zip(prompts, decoded.sequences, strict=True)):
        first = image.tokens_of(sequence) + _WORD * len(prompt)
        made.append(np.frombuffer(left[first : first + _WORD * len(tokens)], "<u4").tolist())
    findings += memory_findings(left, before, decoded.memory)
    for mine, expected in zip(made, decoded.sequences, strict=True):
        if mine != expected:
            findings.append(f"tokens must be {expected}, not {mine}")
    return Proof(made[0], cycles, status(found), count, findings, made[1:])


def _put(memory: bytes, words: Sequence[tuple[int, int]]) -> bytes:
    """Memory in which the host wrote some words."""
    found = bytearray(memory)
    for address, word in words:
        found[address : address + _WORD] = word.to_bytes(_WORD, "little")
    return bytes(found)


def memory_findings(left: bytes, before: bytes, golden: bytes) -> list[str]:
    """The first byte of memory that is not that of the golden model, which leaves the image as it was."""
    expected = np.frombuffer(golden + before[len(golden) :], np.uint8)
    wrong = np.flatnonzero(np.frombuffer(left, np.uint8) != expected)
    if not wrong.size:
        return []
    first = int(wrong[0])
    return [
        f"{wrong.size:,} bytes of memory differ, the first at {first:#x}: {expected[first]}, not {left[first]}"
    ]


def compare(found: rtl.Found, trace: Trace) -> list[str]:
    """The first difference of every unit and mover, and of the end."""
    findings = []
    spans = found.spans()
    for unit, expected in trace.spans.items():
        mine = spans[unit]
        shared = min(len(expected), len(mine))
        for number, (one, (begin, end)) in enumerate(zip(expected[:shared], mine[:shared], strict=True)):
            if (one.begin, one.end) != (begin, end):
                what = f"must take cycles {one.begin} to {one.end}, not {begin} to {end}"
                findings.append(f"{unit}: instruction {number} ({one.text}) {what}")
                break
        if len(expected) != len(mine):
            findings.append(f"{unit}: must do {len(expected)} instructions, not {len(mine)}")
    if found.cycles not in (-1, trace.cycles):
        findings.append(f"the interrupt must come in cycle {trace.cycles}, not {found.cycles}")
    return findings


def status(found: rtl.Found) -> dict[str, int]:
    """The fields of the status that are not 0."""
    word = found.registers.get("status", 0)
    parts = {name: word >> low & ((1 << width) - 1) for name, (low, width) in control.STATUS.items()}
    return {name: value for name, value in parts.items() if value}


def memory_of(image: Image, *prompts: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Memory as the host leaves it: the image, and the tokens of the prompt of each sequence."""
    memory = np.zeros(image.end, np.uint8)
    memory[image.base :] = image.data
    for sequence, prompt in enumerate(prompts):
        tokens, first = np.asarray(prompt, "<u4").view(np.uint8), image.tokens_of(sequence)
        memory[first : first + len(tokens)] = tokens
    return memory


def registers_of(hardware: Hardware, image: Image, decoded: Decoded | Start) -> dict[str, int]:
    """Registers that the host writes before the start."""
    number = int(hardware.design_hash, 16)
    lengths = {name: len(program) for name, program in image.programs.items()}
    before = [turn for turn in decoded.turns if turn.program != DECODE]
    prompt = before[0].program if before else PROMPT
    steps = [turn.step for turn in before[:2]] or [1]
    return {
        "prompt_page": image.pages[prompt],
        "prompt_length": lengths[prompt],
        "decode_page": image.pages[DECODE],
        "decode_length": lengths[DECODE],
        "position": decoded.turns[0].position,
        "prompt_passes": control.prompt_passes(hardware.block, len(before), steps[0], steps[-1]),
        "decode_passes": sum(turn.program == DECODE for turn in decoded.turns),
        "image_lo": number & 0xFFFFFFFF,
        "image_hi": number >> 32,
        "interrupt": 3,
    }
