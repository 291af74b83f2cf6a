"""Write docs/decoder.svg: what a trained model writes on a system, how fast (``python -m benchmarks.decoder_figure``).

The text, the cycles and the shares are those of ``ternforge simulate``, whose cycles are those of the Verilog.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any
from xml.sax.saxutils import escape

from ternforge.session import table
from ternforge.verbs.simulate import simulate

ROOT = Path(__file__).resolve().parent.parent
FIGURE = ROOT / "docs" / "decoder.svg"
SYSTEM = ROOT / "examples" / "tiny_decoder" / "system.yaml"
CHECKPOINT = ROOT / "examples" / "tiny_lm" / "tiny_kjv"
PROMPT, TOKENS = "In the beginning", 32

#: Characters of a line of text, height of a line, width of a character and margin, in pixels.
CHARACTERS, LINE, CHARACTER, MARGIN = 76, 20, 8.4, 16


def phases(answer: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the prompt's passes and of the passes that write a token: tokens, cycles, cycles and time of each."""
    first, clock = len(answer["prompt_tokens"]) - 1, answer["clock_mhz"] * 1e6
    found = []
    for name, passes in (
        ("prompt", answer["cycles_by_pass"][:first]),
        ("decode", answer["cycles_by_pass"][first:]),
    ):
        cycles = sum(passes)
        rate = f"{len(passes) * clock / cycles:,.1f}" if cycles else ""
        each = f"{cycles / len(passes):,.0f}" if passes else ""
        found.append([name, f"{len(passes)}", f"{cycles:,}", each, rate])
    return found


def units(answer: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the units: the share of all cycles that each is busy, and its energy for a token."""
    passes = len(answer["cycles_by_pass"])
    rows = []
    for unit, share in answer["busy"].items():
        spent = answer["energy_pj"].get(unit)
        rows.append([unit, f"{100 * share:.1f} %", "" if spent is None else f"{spent / passes / 1e6:,.3f}"])
    others = {name: spent for name, spent in answer["energy_pj"].items() if name not in answer["busy"]}
    return rows + [[name, "", f"{spent / passes / 1e6:,.3f}"] for name, spent in others.items()]


def lines(answer: Mapping[str, Any]) -> list[str]:
    """The tables below the text."""
    head = (
        f"{answer['model']} on {answer['system']}, {answer['clock_mhz']:g} MHz; {answer['technology']}; first token "
        f"after {1e3 * answer['time_to_first_token_s']:,.1f} ms"
    )
    return [
        head,
        "",
        *table(phases(answer), ("phase", "passes", "cycles", "cycles a pass", "token/s")),
        "",
        *table(units(answer), ("unit", "busy", "energy of a pass [µJ]")),
    ]


def _text(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lines of text, each as its part of the prompt and its part behind it."""
    prompt = len(" ".join(answer["prompt"].split()))
    for line in wrap(answer["prompt"] + answer["text"], CHARACTERS):
        yield line[:prompt], line[prompt:]
        prompt = max(0, prompt - len(line) - 1)


def _written(number: int, spans: Sequence[str]) -> str:
    return f'<text x="{MARGIN}" y="{MARGIN + LINE * number}" xml:space="preserve">{"".join(spans)}</text>'


def figure(answer: Mapping[str, Any]) -> str:
    """The figure as SVG text, from an answer of ``simulate``."""
    text, below = list(_text(answer)), lines(answer)
    width = round(2 * MARGIN + CHARACTER * max(CHARACTERS, *(len(line) for line in below)))
    height = 2 * MARGIN + LINE * (len(text) + len(below) + 1)
    body = [
        _written(number, [f'<tspan class="prompt">{escape(given)}</tspan>', escape(new)])
        for number, (given, new) in enumerate(text, 1)
    ]
    body += [
        _written(number, [f'<tspan class="table">{escape(line)}</tspan>'])
        for number, line in enumerate(below, len(text) + 2)
        if line
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
            f' height="{height}" font-family="monospace" font-size="14">',
            f"<title>Text that {escape(answer['model'])} writes on {escape(answer['system'])}</title>",
            "<style>text{fill:#1b6e3c}.prompt{fill:#222;font-weight:bold}.table{fill:#444}</style>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#f4f7fb" stroke="#3b5b8c"/>',
            *body,
            "</svg>\n",
        ]
    )


def main() -> None:
    """Write the figure."""
    answer = simulate(SYSTEM, checkpoint=CHECKPOINT, prompt=PROMPT, tokens=TOKENS)
    FIGURE.write_text(figure(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
