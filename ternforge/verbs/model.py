"""``ternforge model``: language models that come with the package, and checkpoints of others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blueprint.errors import ParamError
from blueprint.files import schemas
from blueprint.files.nearest import suggestion
from blueprint.workloads import model as shapes
from checkpoints.checkpoint import Checkpoint, Finding
from ternforge.folder import YAML, output_file, output_folder
from ternforge.inputs import check_drawn, prompt_text, seed_of
from ternforge.session import Answer, Note, paced, silent, table
from ternforge.words import ENCODINGS


def models() -> Answer:
    """The language models that come with the package."""
    return {"models": [_summary(shapes.load(name)) for name in shapes.names()]}


def model(name: str | Path, phase: str = "decode", tokens: int = 1) -> Answer:
    """One model's shapes, and the products of one forward pass."""
    chosen = shapes.load(name)
    gemms = shapes.layers(chosen, phase, tokens)
    return {
        **_summary(chosen),
        "phase": phase,
        "tokens": tokens,
        "gemms": gemms,
        "macs": sum(g.macs for g in gemms),
    }


def model_import(
    folder: str | Path,
    out: str | Path | None = None,
    name: str | None = None,
    *,
    like: str | None = None,
    shapes_only: bool = False,
    force: bool = False,
    note: Note = silent,
) -> Answer:
    """Survey the tensors of a checkpoint, and write its shapes to the model file ``out``.

    ``folder`` is a Hugging Face folder, a safetensors file in one, or a GGUF file. ``like`` is the type of model to
    read a ``config.json`` as, where it names one that is not known; with ``shapes_only`` only that file is read.
    """
    from checkpoints import reading

    read = reading.shapes if shapes_only else reading.read
    found = read(folder, name, like)
    listed = found.checkpoint.survey(_progress(note)) if found.checkpoint else ()
    tensors = [_tensor(each) for each in listed]
    if out is not None:
        with output_file(out, YAML, "model import", schema=schemas.MODEL, force=force) as draft:
            draft.write_text(shapes.model_text(found.model), encoding="utf-8")
    return {
        **_summary(found.model),
        "file": None if out is None else Path(out),
        "ternary": found.ternary or any(each["zero_share"] is not None for each in tensors),
        "ignored": found.ignored,
        "weights": _weights(found.checkpoint, found.notes),
        "tensors": tensors,
    }


def model_export(
    path: str | Path,
    out: str | Path,
    encoding: str = "tq2_0",
    *,
    force: bool = False,
    note: Note = silent,
) -> Answer:
    """Write a ternary checkpoint in another form: a GGUF file, or a packed Hugging Face folder.

    ``encoding`` is ``tq1_0``, ``tq2_0`` or ``i2_s`` for GGUF, ``packed`` for a folder. Raises ``ParamError`` for
    an unknown encoding and for a checkpoint without weights.
    """
    from checkpoints import gguf_writing, packed_folder, reading

    if encoding not in ENCODINGS:
        hint = suggestion(encoding, ENCODINGS)
        raise ParamError(f"Encoding must be one of {', '.join(ENCODINGS)}, not {encoding!r}{hint}")
    found = reading.read(path).checkpoint
    if found is None:
        raise ParamError(f"{path}: checkpoint must have weights, and has none that can be read")
    if encoding == "packed":
        with output_folder(out, "model export", force=force) as folder:
            packed_folder.write(found, folder)
        rounding = 0.0
    else:
        with output_file(out, (".gguf",), "model export", force=force) as draft:
            rounding = gguf_writing.write(found, draft, encoding, _progress(note))
    return {
        "name": found.decoder.model.name,
        "file": Path(out),
        "encoding": encoding,
        "scale_rounding": rounding,
    }


def model_generate(
    path: str | Path,
    prompt: str,
    tokens: int = 16,
    *,
    temperature: float = 0.0,
    seed: int | None = None,
    top_k: int | None = None,
    note: Note = silent,
) -> Answer:
    """Continue a text with a ternary checkpoint, in NumPy: the most likely token, again and again.

    With a ``temperature`` above 0 tokens are drawn, by the noise that a system draws them by with this ``seed``; with
    ``top_k`` among so many with the largest logits.

    Products are exact integers of INT8 activations and ternary weights; the rest is FP32. Stops before ``tokens`` at
    the end of the model's context and where the model ends the text. Raises ``ParamError``: no weights, no
    tokenizer, a prompt that is too long, a temperature out of range.
    """
    from checkpoints import reading
    from checkpoints.reference import Reference

    prompt_text(prompt)
    check_drawn(seed, top_k, temperature, "a text")
    if tokens < 1:
        raise ParamError(f"Tokens must be at least 1, not {tokens}")
    drawn_by = seed_of(seed)
    read = reading.read(path)
    found = read.checkpoint
    if found is None:
        raise ParamError(f"{path}: checkpoint must have weights, and has none that can be read")
    for text in (*found.decoder.model.notes, *read.notes):
        note(f"note: {text}")
    if found.vocabulary is None:
        raise ParamError(f"{path}: checkpoint must have a tokenizer, and has none that can be read")
    begin = [] if found.decoder.bos is None else [found.decoder.bos]
    given = begin + found.vocabulary.encode(prompt)
    context = found.decoder.model.context
    if len(given) >= context:
        raise ParamError(
            f"Prompt must have fewer than {context} tokens, the model's context, not {len(given)}"
        )
    decoder = Reference(found)
    tell, made = paced(note, "made {} of {} tokens"), list[int]()
    count = min(tokens, context - len(given))
    for token in decoder.continuation(given, count, temperature, drawn_by, top_k or 0):
        if token == found.decoder.eos:
            break
        made.append(token)
        tell(len(made), tokens)
    return {
        "name": found.decoder.model.name,
        "prompt": prompt,
        "prompt_tokens": given,
        "tokens": made,
        "text": found.vocabulary.decode(made),
    }


def _progress(note: Note) -> Callable[[int, int], None]:
    """A function that notes every two seconds how many matrices were read, and how long the rest will take."""
    return paced(note, "read {} of {} matrices")


def _weights(found: Checkpoint | None, notes: tuple[str, ...]) -> Answer:
    """The operations of a decoder beside its products, and its vocabulary."""
    if found is None:
        return {"notes": notes}
    decoder, words = found.decoder, found.vocabulary
    return {
        "notes": notes,
        "epsilon": decoder.epsilon,
        "rope_theta": decoder.rope_theta,
        "rotary": decoder.rotary,
        "sub_norms": decoder.model.sub_norms,
        "bos": decoder.bos,
        "eos": decoder.eos,
        "tokens": words.size if words else None,
    }


def _tensor(found: Finding) -> Answer:
    """Properties of a tensor, by plain keys."""
    codes = found.statistics
    return {
        "name": found.name,
        "layer": found.place[0],
        "role": found.place[1],
        "shape": found.shape,
        "stored": found.kind,
        "encoding": found.encoding,
        "scales": found.scales,
        "scale_min": found.scale_min,
        "scale_max": found.scale_max,
        "scale_divides": found.divides if codes else None,
        "zero_share": codes.zero_share if codes else None,
        "positive_share": codes.positive_share if codes else None,
        "entropy": codes.entropy if codes else None,
    }


def _summary(chosen: shapes.Model) -> Answer:
    """A model's shapes with the numbers that follow from them."""
    derived = {
        "ternary_weights": chosen.ternary_weights,
        "lm_head_parameters": chosen.lm_head_parameters,
        "kv_bytes_per_token": chosen.kv_bytes_per_token(),
    }
    return {**dataclasses.asdict(chosen), **derived}


_SHARES = ("zero_share", "positive_share", "entropy")


def tables(answer: Answer) -> list[str]:
    """Tensors in groups of those that have role, shape and form in common."""
    groups: dict[tuple[str, ...], list[Answer]] = {}
    for each in answer["tensors"]:
        shape = " x ".join(map(str, each["shape"]))
        key = (each["role"], shape, each["stored"], each["encoding"])
        groups.setdefault(key, []).append(each)
    rows = [_row(key, members) for key, members in groups.items()]
    header = (
        "role",
        "shape",
        "stored",
        "encoding",
        "tensors",
        "scale",
        "zeros",
        "+1 of the rest",
        "bits/weight",
    )
    return ["", *table(rows, header)] if rows else []


def _row(key: tuple[str, ...], members: list[Answer]) -> list[Any]:
    """A line of the table: the range of its members' numbers."""
    if members[0]["zero_share"] is None:
        return [*key, len(members), None, None, None, None]
    sign = "/" if members[0]["scale_divides"] else "x"
    scale = _range([each[end] for each in members for end in ("scale_min", "scale_max")], "{:.4g}")
    several = f" ({members[0]['scales']:,} each)" if members[0]["scales"] > 1 else ""
    shares = [_range([each[name] for each in members], "{:.3f}") for name in _SHARES]
    return [*key, len(members), f"{sign} {scale}{several}", *shares]


def _range(values: list[float], form: str) -> str:
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"
