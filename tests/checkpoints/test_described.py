"""Decoders as metadata of GGUF files and ``config.json`` describe them, key by key; GGUF headers, byte by byte."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError, SpecError
from blueprint.workloads.model import LARGEST_SIZE
from checkpoints import decoder, gguf_header
from checkpoints.linear import Convention

PATH = Path("m.gguf")
KIND = "bitnet-b1.58"
#: Every key that a file may give; those that it must come first.
SIZES = {
    "attention.head_count": 8,
    "embedding_length": 256,
    "feed_forward_length": 512,
    "block_count": 2,
    "context_length": 64,
    "attention.head_count_kv": 4,
    "attention.key_length": 16,
    "vocab_size": 300,
}
MUST = list(SIZES)[:5]


def metadata(kind: str = KIND, **changes: Any) -> dict[str, Any]:
    """Metadata with changes; ``__`` stands for a dot, and ``None`` leaves a key out."""
    given: dict[str, Any] = {
        "general.architecture": kind,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 500_000.0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    } | SIZES
    given |= {name.replace("__", "."): value for name, value in changes.items()}
    return {
        name if name.startswith(("general.", "tokenizer.")) else f"{kind}.{name}": value
        for name, value in given.items()
        if value is not None
    }


def of(
    vocab: int | None = 300, tied: bool = True, name: str | None = None, **given: Any
) -> decoder.Described:
    return decoder.of_metadata(PATH, metadata(**given), vocab, tied, name)


def test_every_key_of_the_metadata_arrives() -> None:
    found = of()
    model = found.decoder.model
    assert (model.name, model.title, model.source) == ("m", "m", "m.gguf")
    assert (model.hidden, model.ffn, model.layers, model.context) == (256, 512, 2, 64)
    assert (model.heads, model.kv_heads, model.head_dim, model.vocab) == (8, 4, 16, 300)
    assert (model.activation, model.tied_embeddings) == ("relu2", True)
    assert (found.decoder.epsilon, found.decoder.rope_theta) == (1e-5, 500_000.0)
    assert (found.decoder.rotary, found.decoder.bos, found.decoder.eos) == (decoder.HALF, 1, 2)
    assert found.claims and found.convention == Convention(f"the architecture {KIND}", ternary=True)


def test_what_is_left_out_follows_from_the_rest() -> None:
    found = of(attention__head_count_kv=None, attention__key_length=None, rope__freq_base=None)
    assert (found.decoder.model.kv_heads, found.decoder.model.head_dim) == (8, 32)
    assert found.decoder.rope_theta == 10_000.0
    open_end = of(tokenizer__ggml__bos_token_id=True, tokenizer__ggml__eos_token_id=None)
    assert (open_end.decoder.bos, open_end.decoder.eos) == (None, None)
    other = of(tokenizer__ggml__bos_token_id="1", tokenizer__ggml__eos_token_id=0)
    assert (other.decoder.bos, other.decoder.eos) == (None, 0)
    narrow = of(embedding_length=4, attention__key_length=None)
    assert narrow.decoder.model.head_dim == 1


@pytest.mark.parametrize(
    ("rows", "stated", "vocab"), [(300, None, 300), (300, 17, 300), (None, 17, 17), (1, 17, 1)]
)
def test_the_embedding_says_how_many_tokens_there_are(
    rows: int | None, stated: int | None, vocab: int
) -> None:
    """The number in the metadata counts where there is no embedding only."""
    assert of(rows, vocab_size=stated).decoder.model.vocab == vocab


@pytest.mark.parametrize("key", [*MUST, "vocab_size"])
def test_a_size_is_given_an_integer_and_in_its_range(key: str) -> None:
    name, must = f"{KIND}.{key}", f"{PATH}:1:1: {KIND}.{key} must be"
    for value, message in (
        (None, "given, and is missing"),
        (True, "an integer, not yes"),
        (2.0, "an integer, not 2"),
        ([1, 2], "an integer, not 2 values"),
        (np.ones(3), "an integer, not 3 values"),
        (0, f"from 1 to {LARGEST_SIZE}, not 0"),
        (LARGEST_SIZE + 1, f"from 1 to {LARGEST_SIZE}, not {LARGEST_SIZE + 1}"),
    ):
        given = metadata() | {name: value}
        with pytest.raises(SpecError) as caught:
            decoder.of_metadata(PATH, given, None, True, None)
        assert str(caught.value).startswith(must), value
        assert str(caught.value) == f"{must} {message}" or value in (True, 2.0)


@pytest.mark.parametrize("key", ["attention.layer_norm_rms_epsilon", "rope.freq_base"])
def test_a_constant_is_finite_and_above_zero(key: str) -> None:
    for value in (0, -1.0, float("inf"), float("nan")):
        with pytest.raises(SpecError) as caught:
            decoder.of_metadata(PATH, metadata() | {f"{KIND}.{key}": value}, 300, True, None)
        what = f"{PATH}:1:1: {KIND}.{key} must be finite and above 0, not {float(value)}"
        assert str(caught.value) == what
    assert of(**{key.replace(".", "__"): 3}).decoder is not None


@pytest.mark.parametrize(
    ("kind", "rotary", "activation", "claims"),
    [
        ("bitnet", "half", "silu", True),
        ("bitnet-25", "half", "relu2", True),
        ("bitnet-b1.58", "half", "relu2", True),
        ("llama", "pairs", "silu", False),
        ("qwen3", "half", "silu", False),
    ],
)
def test_an_architecture_decides_what_the_file_does_not_say(
    kind: str, rotary: str, activation: str, claims: bool
) -> None:
    found = of(kind=kind)
    assert (found.decoder.rotary, found.decoder.model.activation) == (rotary, activation)
    assert (found.claims, found.convention.ternary) == (claims, claims)
    pairs = ", rows of q and k paired with their neighbors by rotary positions" if rotary == "pairs" else ""
    said = f"not in the file and as llama.cpp runs the architecture {kind}: activation {activation}{pairs}"
    assert found.decoder.model.notes[0] == said


@pytest.mark.parametrize(
    ("given", "notes"),
    [
        ({"rope__scaling__type": "linear", "rope__scaling__factor": 2.0}, ["scaled ('linear')"]),
        ({"rope__scaling__type": "linear", "rope__scaling__factor": 1.0}, []),
        ({"rope__scaling__type": "linear"}, []),
        ({"rope__scaling__type": "none", "rope__scaling__factor": 2.0}, []),
        ({"rope__dimension_count": 16}, []),
        ({"rope__dimension_count": 32}, ["turn 32 elements of a head only"]),
        ({"rope__dimension_count": 32, "attention__key_length": None}, []),
        ({"attention__key_length": None}, []),
    ],
)
def test_what_the_description_has_no_word_for_is_noted(given: dict[str, Any], notes: list[str]) -> None:
    if "rope__dimension_count" not in given and "attention__key_length" not in given:
        given = given | {"rope__dimension_count": 16}
    said = [f"rotary positions {'are ' if 'scaled' in note else ''}{note}" for note in notes]
    wanted = [f"{note}, which is not in what is read" for note in said]
    assert list(of(**given).decoder.model.notes[1:]) == wanted


def test_a_head_of_its_own_is_noted_where_llama_cpp_ignores_it() -> None:
    note = "llama.cpp takes the embedding for the head of this architecture, not output.weight"
    assert [note in of(kind=kind, tied=tied).decoder.model.notes for kind in (KIND, "llama") for tied in (0, 1)] == [
        True, False, False, False,
    ]  # fmt: skip


def test_a_name_is_given_or_the_files() -> None:
    named = {"general__name": "Two B"}
    assert of().decoder.model.name == "m"
    assert of(**named).decoder.model.name == "two_b"
    assert of(name="mine", **named).decoder.model.name == "mine"
    with pytest.raises(ParamError, match="give one with --name$"):
        of(general__name="-")


# config.json --------------------------------------------------------------------------------------------------------

CONFIG: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
    "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 300, "max_position_embeddings": 64,
    "hidden_act": "silu", "tie_word_embeddings": True, "rms_norm_eps": 1e-5, "rope_theta": 500_000.0,
}  # fmt: skip


def folder(path: Path, **changes: Any) -> decoder.Described:
    """The decoder of a configuration with changes; ``...`` leaves a key out."""
    content = {key: value for key, value in (CONFIG | changes).items() if value is not ...}
    (path / "config.json").write_text(json.dumps(content))
    return decoder.of_folder(path, "tiny")


def notes(found: decoder.Described) -> list[str]:
    return [note for note in found.decoder.model.notes if "rotary" in note or "defaults of its class" in note]


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_scaled_positions_are_noted_and_empty_ones_are_none(key: str, tmp_path: Path) -> None:
    for given in (None, {}, {"rope_type": "default"}, {"type": "default"}):
        assert notes(folder(tmp_path, **{key: given})) == [], given
    for given in ({"rope_type": "llama3"}, {"type": "llama3"}, {"rope_type": "llama3", "type": "default"}):
        said = f"rotary positions are scaled ({key} llama3), which is not in what is read"
        assert [note.replace("'", "") for note in notes(folder(tmp_path, **{key: given}))] == [said], given


@pytest.mark.parametrize(
    ("kind", "epsilon", "theta"), [("llama", 1e-6, 10_000.0), ("bitnet", 1e-5, 500_000.0)]
)
def test_constants_of_a_class_are_taken_and_noted(
    kind: str, epsilon: float, theta: float, tmp_path: Path
) -> None:
    activation = {"bitnet": "relu2"}.get(kind, "silu")
    given = {"model_type": kind, "hidden_act": activation}
    found = folder(tmp_path, **given, rms_norm_eps=..., rope_theta=None)
    assert (found.decoder.epsilon, found.decoder.rope_theta) == (epsilon, theta)
    said = f"rms_norm_eps {epsilon:g}, rope_theta {theta:g}"
    assert notes(found) == [f"not in the config and taken from the defaults of its class: {said}"]
    found = folder(tmp_path, **given, rms_norm_eps=0.25, rope_theta=3.0)
    assert (found.decoder.epsilon, found.decoder.rope_theta, notes(found)) == (0.25, 3.0, [])


@pytest.mark.parametrize(("key", "value"), [("rms_norm_eps", 0.0), ("rope_theta", 0), ("rope_theta", -1.0)])
def test_constants_of_a_configuration_are_above_zero(key: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=rf"{key} must be finite and above 0, not {value}$"):
        folder(tmp_path, **{key: value})


@pytest.mark.parametrize("value", ["1e999", "-1e999"])
def test_constants_of_a_configuration_are_finite(value: str, tmp_path: Path) -> None:
    text = json.dumps(CONFIG | {"rms_norm_eps": 77}).replace("77", value)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(SpecError, match=r"rms_norm_eps must be finite and above 0, not -?inf$"):
        decoder.of_folder(tmp_path, "tiny")


def test_the_base_of_positions_may_stand_among_their_parameters(tmp_path: Path) -> None:
    for given, theta in (({"rope_theta": 7.0}, 7.0), ({}, 500_000.0), ({"rope_type": "default"}, 500_000.0)):
        assert folder(tmp_path, rope_parameters=given).decoder.rope_theta == theta


@pytest.mark.parametrize(
    ("given", "token"), [(5, 5), (0, 0), ([7, 8], 7), ([], None), (None, None), (..., None)]
)
def test_the_first_token_of_a_list_begins_and_ends_a_text(
    given: Any, token: int | None, tmp_path: Path
) -> None:
    found = folder(tmp_path, bos_token_id=given, eos_token_id=3).decoder
    assert (found.bos, found.eos) == (token, 3)
    assert folder(tmp_path, bos_token_id=[True]).decoder.bos is None
    found = folder(tmp_path, bos_token_id=4, eos_token_id=given).decoder
    assert (found.bos, found.eos) == (4, token)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, Convention("")),
        ({"weight_bits": 1}, Convention("weight_bits 1", masters=True)),
        ({"weight_bits": 2}, Convention("")),
        ({"weight_bits": None}, Convention("")),
        ({"quantization_config": None}, Convention("")),
        ({"quantization_config": {"quant_method": "gptq"}}, Convention("")),
        (
            {"quantization_config": {"quant_method": "bitnet"}},
            Convention("linear_class bitlinear, quantization_mode offline", True, False, True),
        ),
        (
            {"quantization_config": {"quant_method": "bitnet", "quantization_mode": "online"}},
            Convention("linear_class bitlinear, quantization_mode online", True, False, True),
        ),
        (
            {"quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear"}},
            Convention("linear_class autobitlinear, quantization_mode offline", False, False, True),
        ),
        (
            {
                "quantization_config": {
                    "quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online",
                    "use_rms_norm": None,
                }
            },
            Convention("linear_class autobitlinear, quantization_mode online", False, True, False),
        ),
    ],
)  # fmt: skip
def test_what_a_configuration_says_of_the_storage(
    given: dict[str, Any], wanted: Convention, tmp_path: Path
) -> None:
    found = folder(tmp_path, **given)
    assert found.convention == wanted
    assert found.claims or not wanted.masters


def test_a_configuration_claims_ternary_weights_or_leaves_a_note(tmp_path: Path) -> None:
    note = "the config does not say that the weights are ternary"
    plain = folder(tmp_path)
    assert not plain.claims and any(said.startswith(note) for said in plain.decoder.model.notes)
    assert folder(tmp_path, model_type="bitnet", hidden_act="relu2").claims
    found = folder(tmp_path, quantization_config={"quant_method": "bitnet"})
    assert found.claims and not any(said.startswith(note) for said in found.decoder.model.notes)
    scaled = folder(tmp_path, rope_scaling={"type": "linear"}).decoder.model.notes
    assert scaled == (*plain.decoder.model.notes, scaled[-1]) and scaled[-1].startswith("rotary positions")


@pytest.mark.parametrize("use", [True, False, None])
def test_norms_in_front_of_every_product_are_refused(use: bool | None, tmp_path: Path) -> None:
    given = {"quant_method": "bitnet", "use_rms_norm": use}
    if not use:
        assert folder(tmp_path, quantization_config=given).convention.divides
        return
    with pytest.raises(
        SpecError, match="use_rms_norm must be false: norms in front of every product are not read$"
    ):
        folder(tmp_path, quantization_config=given)


# Headers ------------------------------------------------------------------------------------------------------------


def word(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def header(
    pairs: list[tuple[str, int, bytes]],
    tensors: bytes = b"",
    count: int = 0,
    more: bytes = b"",
    version: int = 3,
) -> gguf_header.Header:
    """A header of these pairs (key, type, value) and tensors, with bytes behind it."""
    data = b"GGUF" + struct.pack("<IQQ", version, count, len(pairs))
    data += b"".join(word(key) + struct.pack("<I", kind) + value for key, kind, value in pairs)
    return gguf_header.read(PATH, np.frombuffer(data + tensors + more, np.uint8))


def aligned(value: int) -> gguf_header.Header:
    return header([("general.alignment", 4, struct.pack("<I", value))])


def test_offsets_count_from_the_next_multiple_of_the_alignment() -> None:
    """Without pairs a header has 24 bytes; one of the alignment has 24 + 8 + 17 + 4 + 4."""
    assert header([]).start == 32
    assert {value: aligned(value).start for value in (8, 16, 32, 64, 1024)} == {
        8: 64, 16: 64, 32: 64, 64: 64, 1024: 1024,
    }  # fmt: skip
    padded = header([("x", 8, word("ab"))])
    assert padded.start == 64 and padded.metadata == {"x": "ab"}
    assert header([("general.alignment", 4, struct.pack("<I", 8)), ("y", 8, word("abc"))]).start == 88


@pytest.mark.parametrize("value", [0, 1, 4, 7, 9, 10, 12, 24, 33, 48, 96])
def test_an_alignment_is_a_power_of_two_from_8(value: int) -> None:
    with pytest.raises(SpecError) as caught:
        aligned(value)
    assert str(caught.value) == f"m.gguf:1:1: general.alignment must be a power of two from 8, not '{value}'"


def test_an_alignment_is_an_integer() -> None:
    with pytest.raises(SpecError, match="general.alignment must be a power of two from 8, not 'abc'$"):
        header([("general.alignment", 8, word("abc"))])


def test_every_type_of_metadata_is_read() -> None:
    numbers = [
        (0, "<B", 200), (1, "<b", -100), (2, "<H", 60_000), (3, "<h", -30_000), (4, "<I", 1 << 31), (5, "<i", -7),
        (6, "<f", 0.5), (7, "<?", True), (10, "<Q", 1 << 63), (11, "<q", -(1 << 40)), (12, "<d", 0.1),
    ]  # fmt: skip
    pairs = [(f"k{kind}", kind, struct.pack(form, value)) for kind, form, value in numbers]
    lists = [
        (f"l{kind}", 9, struct.pack("<IQ", kind, 2) + 2 * struct.pack(form, value))
        for kind, form, value in numbers
    ]
    texts = ("texts", 9, struct.pack("<IQ", 8, 2) + word("a") + word("bcd"))
    found = header([*pairs, *lists, texts]).metadata
    for kind, _, value in numbers:
        assert found[f"k{kind}"] == value and type(found[f"k{kind}"]) is type(value)
        assert found[f"l{kind}"].tolist() == [value, value]
    assert found["texts"] == ["a", "bcd"]
    assert header([("", 0, b"\1")]).metadata == {"": 1}  # the shortest pair
    assert header([("l", 9, struct.pack("<IQ", 8, 2) + 2 * word(""))]).metadata == {"l": ["", ""]}


def tensor(name: str, shape: tuple[int, ...], kind: int = 2, offset: int = 96) -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return word(name) + sizes + struct.pack("<IQ", kind, offset)


@pytest.mark.parametrize("version", [2, 3])
def test_a_tensor_has_its_dimensions_in_reverse(version: int) -> None:
    found = header([], tensor("a", (5, 4, 3, 2)) + tensor("b", (7,), 3, 128), 2, version=version).tensors
    assert found == (
        gguf_header.Described("a", (2, 3, 4, 5), 2, 96),
        gguf_header.Described("b", (7,), 3, 128),
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"version": 1}, "version of GGUF must be 2 or 3, not 1"),
        ({"version": 4}, "version of GGUF must be 2 or 3, not 4"),
        (
            {"version": 3 << 24},
            "file must be little-endian GGUF, not big-endian; convert it where it was written",
        ),
        ({"tensors": tensor("a", ()), "more": bytes(9)}, "tensor 'a' must have 1 to 4 dimensions, not 0"),
        ({"tensors": tensor("a", (1,) * 5)}, "tensor 'a' must have 1 to 4 dimensions, not 5"),
        ({"tensors": tensor("a", (3, 0))}, "tensor 'a' must have elements, not the shape [0, 3]"),
        ({"tensors": 2 * tensor("a", (3,)), "count": 2}, "tensor 'a' must be in the header once, not again"),
        ({"pairs": [("k", 13, b"")]}, "type of 'k' must be one of GGUF's 0 to 12, not 13"),
        (
            {"pairs": [("k", 9, struct.pack("<IQ", 9, 1))]},
            "items of 'k' must be numbers or texts, not of type 9",
        ),
        (
            {"pairs": [("k", 9, struct.pack("<IQ", 8, 2) + word("abcdef"))]},
            "length of 'k' must fit into the file of 63 bytes, not be 2",
        ),
        ({"pairs": [("k", 0, b"\1"), ("k", 0, b"\1")]}, "key of metadata must be given once, not again: 'k'"),
        ({"pairs": [("k", 4, b"\1")]}, "'k' must have 4 bytes at byte 37, and the file ends after 1"),
        (
            {"pairs": [("k", 8, struct.pack("<Q", 2) + b"\xff\xff")]},
            "'k' must be UTF-8 at byte 45, and is not",
        ),
        ({"count": 1, "more": bytes(15)}, "number of tensors must fit into the file of 39 bytes, not be 1"),
        ({"count": 1, "more": bytes(16)}, "tensor '' must have 1 to 4 dimensions, not 0"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        header(**{"pairs": [], "count": int("tensors" in given)} | given)
    assert str(caught.value) == f"m.gguf:1:1: {message}"
