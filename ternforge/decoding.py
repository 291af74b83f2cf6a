"""A trained checkpoint on a system: what ``compile`` writes and what ``simulate`` shows of a prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from blueprint.systems import control, rules
from blueprint.systems.control import Hardware
from blueprint.systems.description import System
from blueprint.systems.instructions import WORD_BYTES
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort, of_memory
from blueprint.systems.reader import read_system
from checkpoints import reading
from checkpoints.checkpoint import Checkpoint
from checkpoints.digest import digest
from checkpoints.faults import fault
from compiler import calibration, drawing, image
from compiler import compile as compiling
from compiler.calibration import Steps
from compiler.compile import Compiled, compile_model, has_steps
from compiler.image import Image
from compiler.plan import check_batch
from compiler.prompts import DECODE
from simulator.systems import decoding
from simulator.systems.machine import Span
from ternforge.energies import Energies
from ternforge.folder import check_file, output_file, output_folder
from ternforge.inputs import prompt_text, seed_of
from ternforge.session import Answer, Note, paced, silent, table
from ternforge.words import MEMORIES, OWN_MEMORY

#: Tokens behind a prompt where nothing says how many.
TOKENS = 16


def port(system: System, name: str, clock_mhz: float) -> MemoryPort:
    """The behavior of memory: a named one, or what the system says in cycles of its clock.

    Raises ``ParamError`` for an unknown name.
    """
    if name != OWN_MEMORY:
        if name not in BEHAVIORS:
            hint = suggestion(name, MEMORIES)
            raise ParamError(f"Memory must be one of {', '.join(MEMORIES)}, not {name!r}{hint}")
        return replace(BEHAVIORS[name], size=system.memory.size)
    return of_memory(system.memory, clock_mhz)


def opened(path: str | Path) -> Checkpoint:
    """The checkpoint at a path. Raises ``ParamError`` where it has no weights, ``SpecError`` for a bad file."""
    found = reading.read(path).checkpoint
    if found is None:
        raise ParamError(f"{path}: checkpoint must have weights, and has none that can be read")
    return found


def compiled(
    system: System, checkpoint: Checkpoint, calibrate: str | Path | None, note: Note, batch: int = 1
) -> tuple[Compiled, str]:
    """A checkpoint compiled for a system, and what its steps were measured on; an empty text where it has no steps.

    Raises ``ParamError`` for a model or an image that does not fit the system.
    """
    model = checkpoint.decoder.model
    hardware = control.hardware(system)
    rules.check_model(system, model)
    check_batch(hardware, model, batch)  # refused before the work
    compiling.check(hardware, checkpoint)
    steps, told = _steps(hardware, checkpoint, calibrate, note)
    found = compile_model(hardware, checkpoint, steps, batch)
    rules.check_image(system, model, found.layout.end)
    return found, told


def _steps(
    hardware: Hardware, checkpoint: Checkpoint, calibrate: str | Path | None, note: Note
) -> tuple[Sequence[Steps], str]:
    """The steps of attention, and what they were measured on."""
    if not has_steps(hardware):
        if calibrate is not None:
            kind = hardware.units["attention"].float_format
            what = f"attention has steps, and that of {hardware.name} takes {kind}, which has none"
            raise ParamError(f"calibrate must be given where {what}")
        return (), ""
    if calibrate is None:
        note(f"measuring steps on {calibration.TOKENS} tokens of the model's own")
        windows = calibration.own_text(checkpoint, told=paced(note, "drew {} of {} tokens"))
        return calibration.measure(checkpoint, windows), "its own text"
    return calibration.measure(checkpoint, _calibration_text(checkpoint, Path(calibrate))), str(calibrate)


def _calibration_text(checkpoint: Checkpoint, path: Path) -> list[list[int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise fault(path, "file must be text in UTF-8, and is not") from None
    tokens = _encoded(checkpoint, text)
    if not tokens:
        raise fault(path, "file must have text to measure steps on, and is empty")
    return calibration.windows(tokens, checkpoint.decoder.model.context)


def _encoded(checkpoint: Checkpoint, text: str) -> list[int]:
    if checkpoint.vocabulary is None:
        raise ParamError(
            f"{checkpoint.source}: checkpoint must have a tokenizer, and has none that can be read"
        )
    return checkpoint.vocabulary.encode(text)


# Compile --------------------------------------------------------------------------------------------------------------


def compile_system(
    file: System | str | Path,
    checkpoint: str | Path,
    out: str | Path,
    calibrate: str | Path | None = None,
    *,
    batch: int = 1,
    force: bool = False,
    note: Note = silent,
) -> Answer:
    """Write the image of a checkpoint on a system, for ``batch`` sequences side by side."""
    system = file if isinstance(file, System) else read_system(file)
    found, told = compiled(system, opened(checkpoint), calibrate, note, batch)
    picture = image.of_compiled(found)
    note("predicting the cycles of every instruction")
    clock = clock_of(system)
    times = _predicted(found.hardware, picture, port(system, OWN_MEMORY, clock))
    with output_folder(out, "compile", force=force) as folder:
        image.write(found, folder, {name: cycles for name, (cycles, _) in times.items()}, told)
    layout = found.layout
    return {
        "system": system.name,
        "model": found.checkpoint.decoder.model.name,
        "design_hash": found.hardware.design_hash,
        "folder": Path(out),
        "bytes": int(picture.data.size),
        "memory_bytes": picture.end,
        "calibrated_on": told,
        **({"batch": batch} if batch > 1 else {}),
        "programs": {
            name: {
                "instructions": len(program),
                "page": picture.pages[name],
                "cycles": times[name][1],
                "bytes": sum(size for _, size in picture.notes[name]),
            }
            for name, program in picture.programs.items()
        },
        "regions": [
            {"name": region.name, "base": region.base, "size": region.size, "text": region.text}
            for region in layout.regions.values()
        ],
    }


def _predicted(hardware: Hardware, picture: Image, memory: MemoryPort) -> dict[str, tuple[list[int], int]]:
    """Cycles of every instruction of the programs at the first position, and of the whole pass."""
    found = {}
    for name, program in picture.programs.items():
        trace = decoding.timed(hardware, picture, [name], memory, lambda _: 0)
        cycles = [-1] * len(program)
        for spans in trace.spans.values():
            for span in spans:
                cycles[span.number] = span.end - span.begin + 1
        found[name] = cycles, trace.cycles
    return found


def compile_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The files written, as text for people."""
    yield f"{answer['model']} on {answer['system']}: wrote {answer['folder']}"
    rows = [
        [name, one["instructions"], one["bytes"], one["cycles"]] for name, one in answer["programs"].items()
    ]
    yield from table(rows, ("program", "instructions", "bytes moved", "cycles at position 0"))
    yield f"image of {answer['bytes']:,} bytes, memory of {answer['memory_bytes']:,}; design {answer['design_hash']}"
    if answer["calibrated_on"]:
        yield f"steps of keys, values and queries measured on {answer['calibrated_on']}"


# Simulate -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """The options of a simulation."""

    prompt: str
    tokens: int = TOKENS
    memory: str = OWN_MEMORY
    calibrate: str | Path | None = None
    image: str | Path | None = None
    technology: str | Path | None = None
    trace: str | Path | None = None
    force: bool = False
    temperature: float = 0.0
    seed: int | None = None
    beside: Sequence[str] = ()
    top_k: int | None = None

    @property
    def prompts(self) -> list[str]:
        """The prompt of every sequence."""
        return [self.prompt, *self.beside]


def simulate_system(
    file: System | str | Path, checkpoint: str | Path, asked: Asked, note: Note = silent
) -> Answer:
    """Text and cycles of a prompt on a system."""
    system = file if isinstance(file, System) else read_system(file)
    clock = clock_of(system)
    behavior = port(system, asked.memory, clock)
    trained = opened(checkpoint)
    given = prompts_of(trained, asked)
    path = None if asked.trace is None else check_file(asked.trace, (".json", ".json.gz"), force=asked.force)
    hardware = control.hardware(system)
    picture = picture_of(system, hardware, trained, asked, note)
    decoded = decoding.decode(
        hardware, picture, given[0], asked.tokens, behavior, beside=given[1:], stop=trained.decoder.eos,
        told=paced(note, "ran {} of {} passes"),
    )  # fmt: skip
    answer = _answer(system, clock, trained, given, hardware, picture, decoded, asked)
    if path is not None:
        from simulator.systems import chrome

        with output_file(path, (".json", ".json.gz"), "simulate", force=asked.force) as draft:
            chrome.write(chrome.events(chrome.of_decoded(decoded, picture), hardware.queues, clock), draft)
        answer["trace"] = path
    return answer


def picture_of(system: System, hardware: Hardware, trained: Checkpoint, asked: Asked, note: Note) -> Image:
    """The image that is asked for: what was compiled before, or what is compiled now.

    Raises ``ParamError`` for an image of another checkpoint, and for ``calibrate`` beside an image.
    """
    if asked.image is not None and asked.calibrate is not None:
        raise ParamError(
            "calibrate must not be given beside an image, whose steps were measured when it was compiled"
        )
    if asked.temperature:
        drawing.registers(hardware, *how_drawn(asked))  # refused before the work
    batch = len(asked.prompts)
    if asked.image is None:
        found, _ = compiled(system, trained, asked.calibrate, note, batch)
        picture = image.of_compiled(found)
    else:
        picture = image.read(Path(asked.image), hardware)
    if picture.checkpoint != digest(trained.source):
        raise ParamError(f"{asked.image}: image must be of this checkpoint, and is of another")
    if picture.batch != batch:
        raise ParamError(f"Prompts must be as many as the image has sequences, {picture.batch}, not {batch}")
    if not asked.temperature:
        return picture
    return drawing.drawn(picture, hardware, *how_drawn(asked))


def prompts_of(trained: Checkpoint, asked: Asked) -> list[list[int]]:
    """Tokens of the prompt of every sequence. Raises ``ParamError`` where they and those to come exceed the context."""
    return [_prompt_of(trained, prompt, asked) for prompt in asked.prompts]


def _prompt_of(trained: Checkpoint, prompt: str, asked: Asked) -> list[int]:
    """Tokens of a prompt."""
    context = trained.decoder.model.context
    begin = [] if trained.decoder.bos is None else [trained.decoder.bos]
    given = begin + _encoded(trained, prompt_text(prompt))
    if not given:
        raise ParamError("Prompt must have at least one token, not none")
    if asked.tokens < 1:
        raise ParamError(f"Tokens must be at least 1, not {asked.tokens}")
    if len(given) + asked.tokens - 1 > context:
        what = f"fit the context of {context} of {trained.decoder.model.name}"
        raise ParamError(f"Prompt and tokens behind it must {what}, not be {len(given)} and {asked.tokens}")
    return given


def how_drawn(asked: Asked) -> tuple[float, int, int]:
    """Temperature, seed and how many tokens with the largest scores one is drawn among, 0 for all."""
    return asked.temperature, seed_of(asked.seed), asked.top_k or 0


def drawn_by(asked: Asked) -> Answer:
    """Temperature, seed and ``top_k``, where tokens are drawn."""
    named = zip(("temperature", "seed", "top_k"), how_drawn(asked), strict=True)
    return {name: value for name, value in named if name != "top_k" or value} if asked.temperature else {}


def clock_of(system: System) -> float:
    if system.clock_mhz is None:
        raise ParamError("clock_mhz must be there to simulate a system, and is missing")
    return system.clock_mhz


def told_of(trained: Checkpoint, tokens: Sequence[int], asked: Asked) -> tuple[list[int], str]:
    """As many tokens as are asked for, up to the one that ends a text, and their text."""
    assert trained.vocabulary is not None
    stop, found = trained.decoder.eos, list(tokens[: asked.tokens])
    found = found[: found.index(stop) + 1] if stop in found else found
    return found, trained.vocabulary.decode(found)


def _beside(
    trained: Checkpoint, given: Sequence[Sequence[int]], decoded: decoding.Decoded, asked: Asked
) -> Answer:
    """The other sequences of a batch."""
    rows = []
    for prompt, mine, made in zip(asked.beside, given[1:], decoded.beside, strict=True):
        tokens, text = told_of(trained, made, asked)
        rows.append({"prompt": prompt, "prompt_tokens": list(mine), "tokens": tokens, "text": text})
    return {"beside": rows} if rows else {}


def _answer(
    system: System, clock: float, trained: Checkpoint, given: Sequence[Sequence[int]], hardware: Hardware,
    picture: Image, decoded: decoding.Decoded, asked: Asked,
) -> Answer:  # fmt: skip
    tokens, text = told_of(trained, decoded.tokens, asked)
    trace, cycles = decoded.trace, decoded.cycles
    per_pass = _pass_cycles(trace.spans, len(decoded.passes))
    first = decoded.passes.index(DECODE)
    decode = per_pass[first:]
    seconds = cycles / (clock * 1e6)
    moved = _traffic(decoded, picture)
    return {
        "system": system.name,
        "model": trained.decoder.model.name,
        "design_hash": hardware.design_hash,
        "source": "exact model of the sequencer, golden values",
        "memory": asked.memory,
        **drawn_by(asked),
        "clock_mhz": clock,
        "prompt": asked.prompt,
        "prompt_tokens": list(given[0]),
        "tokens": tokens,
        "text": text,
        **_beside(trained, given, decoded, asked),
        "cycles": cycles,
        "seconds": seconds,
        "cycles_by_pass": per_pass,
        "time_to_first_token_s": sum(per_pass[: first + 1]) / (clock * 1e6),
        "tokens_per_second": sum(map(len, decoded.sequences)) / (sum(decode) / (clock * 1e6)),
        "busy": {unit: done / cycles for unit, done in decoding.busy(trace).items()},
        "stalls": decoding.waits(trace),
        "utilization": decoding.utilization(hardware, trace),
        "traffic_bytes": moved["bytes"],
        "layers": moved["layers"],
        **_energy(system, clock, hardware, decoded, sum(moved["bytes"].values()), asked.technology),
    }


def _pass_cycles(spans: Mapping[str, Sequence[Span]], passes: int) -> list[int]:
    """Cycles of every pass, from the end of the one before to the last end of its instructions."""
    ends = [0] * passes
    for mine in spans.values():
        for span in mine:
            ends[span.place] = max(ends[span.place], span.end + 1)
    return [end - before for before, end in pairwise([0, *ends])]


def _traffic(decoded: decoding.Decoded, picture: Image) -> dict[str, Any]:
    """Bytes by what they are for, and cycles of the movers and units by layer."""
    found: Counter[str] = Counter()
    for unit, moved in decoding.transfers(decoded.trace).items():
        for span, size in moved:
            purpose, _ = picture.notes[decoded.passes[span.place]][span.number]
            found[f"{purpose.kind} {unit}"] += size
    found["program fetch"] = sum(WORD_BYTES * len(picture.programs[name]) for name in decoded.passes)
    layers: dict[str, Counter[str]] = {}
    for unit, spans in decoded.trace.spans.items():
        for span in spans:
            if span.text.kind == "start":
                purpose, _ = picture.notes[decoded.passes[span.place]][span.number]
                layers.setdefault(purpose.mark, Counter())[unit] += span.end - span.begin + 1
    return {"bytes": dict(found), "layers": {name: dict(each) for name, each in layers.items()}}


def _energy(
    system: System, clock: float, hardware: Hardware, decoded: decoding.Decoded, moved: int,
    technology: str | Path | None,
) -> Answer:  # fmt: skip
    work = decoding.tasks(hardware, decoded.trace)
    macs = {unit: sum(task.macs for _, task in work[unit]) for unit in work}
    costs = Energies(system, clock, hardware, technology)
    through = decoding.buffered(hardware, decoded.trace)
    tokens = len(decoded.sequences) * (decoded.turns[-1].position + 1)
    return costs.total(decoded.cycles, macs, moved, through, tokens)


def simulate_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Text, cycles and where they go, for people."""
    yield f"{answer['model']} on {answer['system']}, memory {answer['memory']} ({answer['source']})"
    beside = answer.get("beside", [])
    yield from (f"{one['prompt']}{one['text']}" for one in (answer, *beside))
    lengths = sorted(len(one["prompt_tokens"]) for one in (answer, *beside))
    count = " to ".join(str(length) for length in dict.fromkeys((lengths[0], lengths[-1])))
    made = max(len(one["tokens"]) for one in (answer, *beside))
    each = f" in each of {len(lengths)} sequences" if beside else ""
    yield (
        f"{count} tokens of prompt and {made} behind them{each}: {answer['cycles']:,} cycles, "
        f"{1e3 * answer['seconds']:,.2f} ms at {answer['clock_mhz']:g} MHz; first token after "
        f"{1e3 * answer['time_to_first_token_s']:,.2f} ms, then {answer['tokens_per_second']:,.1f} token/s"
    )
    yield from phase_lines(answer)
    if "trace" in answer:
        yield f"wrote {answer['trace']}: open it in https://ui.perfetto.dev"


def phase_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Units, traffic and energy."""
    stalls = answer["stalls"]
    peaks = {unit: f"{100 * share:.1f} %" for unit, share in answer["utilization"].items()}
    rows = []
    for unit, share in answer["busy"].items():
        waits = ", ".join(f"{reason} {cycles:,}" for reason, cycles in stalls[unit].items())
        rows.append([unit, f"{100 * share:.1f} %", peaks.get(unit, ""), waits])
    yield from table(rows, ("unit", "busy", "of its peak", "cycles that it waits for"))
    moved = ", ".join(f"{name} {size:,}" for name, size in answer["traffic_bytes"].items())
    yield f"bytes of memory: {moved}"
    energy = ", ".join(f"{name} {pj / 1e6:,.2f}" for name, pj in answer["energy_pj"].items())
    yield f"energy in µJ ({answer['technology']}): {energy}; {answer['energy_pj_per_token'] / 1e6:,.2f} a token"
