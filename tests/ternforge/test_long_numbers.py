"""Numbers of more digits than Python converts, digits of other scripts, and JSON nested without end."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from blueprint.arithmetic import sparsity
from blueprint.errors import ParamError, SpecError
from blueprint.files.json_tree import parse_json
from checkpoints import safetensors_file
from compiler import image
from simulator import trace
from simulator.cosim import folder
from ternforge.record import NAME, Record
from ternforge.shaped import tokens_of
from toolchain import cache

#: Python converts at most 4,300 digits.
LONG = "9" * 5000
COUNT = "Prompt must be a number of tokens where there is no checkpoint, whose tokenizer reads a text, not"
TEXTS: list[tuple[Callable[[str], object], str, str]] = [
    (tokens_of, LONG, f"{COUNT} {LONG[:60]!r}"),
    (tokens_of, "٣", f"{COUNT} '٣'"),  # a digit, but not of a number as files have it
    (trace.parse_window, f"1:{LONG}", f"Trace window must be a:b with 0 <= a < b, not '1:{LONG[:58]}'"),
    (trace.parse_window, "١:٣", "Trace window must be a:b with 0 <= a < b, not '١:٣'"),
    (sparsity.parse, f"2:{LONG}", f"Sparsity must be written N:M, such as 2:4, not '2:{LONG[:58]}'"),
    (
        lambda text: parse_json(text, "config.json"),
        f'{{"size":\n {LONG}}}',
        f"config.json:2:2: integer must fit 64 bits, not '{LONG[:39]}... (5002 characters)",
    ),
]


@pytest.mark.parametrize(("read", "text", "message"), TEXTS)
def test_a_text_that_is_no_number_is_refused(read: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", [LONG, "٣", "-1"])
def test_the_size_of_the_cache(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERNFORGE_CACHE_MIB", text)
    with pytest.raises(cache.CacheError) as caught:
        cache._limit_mib()
    assert str(caught.value) == f"TERNFORGE_CACHE_MIB must be a number of MiB, not {text[:60]!r}"


@pytest.mark.parametrize("digits", [LONG, "9" * 20])
def test_a_header_of_safetensors(digits: str, tmp_path: Path) -> None:
    header = f'{{"x": {digits}}}'.encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(SpecError) as caught:
        safetensors_file.read_file(path)
    shown = repr(digits) if len(digits) < 100 else f"{digits!r:.100}... (5002 characters)"
    assert str(caught.value) == f"{path}:1:1: header must hold integers of 64 bits, not {shown}"


DEEP = "[" * 100_000


def test_an_image_nested_without_end(tmp_path: Path) -> None:
    path = tmp_path / image.DESCRIPTION
    path.write_text(DEEP)
    with pytest.raises(
        SpecError, match="^[^ ]*image.json:1:1: file must be JSON as compile writes it, and is not: "
    ):
        image.read(tmp_path, None)  # type: ignore[arg-type]  # which is not looked at before


def test_a_manifest_nested_without_end(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(DEEP)
    with pytest.raises(ParamError, match="^[^ ]*manifest.json: manifest must be JSON, and is not: "):
        folder._manifest(path)


def test_a_record_nested_without_end_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(DEEP)
    assert Record.of(tmp_path).writers == set()
