"""The picture of the decoder shows what ``simulate`` answers, and is the one that was committed."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import decoder_figure
from ternforge.verbs.simulate import simulate

ANSWER: dict[str, Any] = {
    "model": "a<b",
    "system": "small",
    "technology": "asap7",
    "clock_mhz": 100.0,
    "prompt": "In the beginning",
    "text": " was the word" * 8,
    "prompt_tokens": [5, 6, 7],
    "cycles_by_pass": [100, 300, 500, 700],
    "time_to_first_token_s": 9e-6,
    "busy": {"load": 0.5, "matrix": 0.25},
    "energy_pj": {"matrix": 8e6, "memory": 2e6},
}


def shown(answer: dict[str, Any]) -> list[str]:
    """Lines of the picture, as a reader of SVG finds them."""
    root = ElementTree.fromstring(decoder_figure.figure(answer))
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_prompt_text_and_tables_are_shown() -> None:
    lines = shown(ANSWER)
    assert lines[0].startswith("In the beginning was the word was")
    assert " ".join(lines[:2]) == ANSWER["prompt"] + ANSWER["text"]
    rows = [line.split() for line in lines]
    assert ["prompt", "2", "400", "200", "500,000.0"] in rows
    assert ["decode", "2", "1,200", "600", "166,666.7"] in rows
    assert ["load", "50.0", "%"] in rows and ["matrix", "25.0", "%", "2.000"] in rows
    assert ["memory", "0.500"] in rows
    assert any(line.startswith("a<b on small, 100 MHz; asap7; first token after 0.0 ms") for line in lines)


def test_a_prompt_of_one_token_has_no_passes_of_its_own() -> None:
    rows = [line.split() for line in shown(ANSWER | {"prompt_tokens": [5]})]
    assert ["prompt", "0", "0"] in rows and ["decode", "4", "1,600", "400", "250,000.0"] in rows


def test_the_prompt_is_told_from_the_text_over_several_lines() -> None:
    long = "In the beginning " * 6 + "was"
    root = ElementTree.fromstring(decoder_figure.figure(ANSWER | {"prompt": long, "text": " so"}))
    marked = [
        span.text or ""
        for span in root.iter("{http://www.w3.org/2000/svg}tspan")
        if span.get("class") == "prompt"
    ]
    assert " ".join(marked) == long


@pytest.mark.slow
def test_the_committed_picture_is_what_the_command_writes() -> None:
    answer = simulate(
        decoder_figure.SYSTEM,
        checkpoint=decoder_figure.CHECKPOINT,
        prompt=decoder_figure.PROMPT,
        tokens=decoder_figure.TOKENS,
    )
    assert decoder_figure.FIGURE.read_text(encoding="utf-8") == decoder_figure.figure(answer)
