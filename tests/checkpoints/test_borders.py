"""What lies on a limit is taken and what lies beside it is not; what is written is what was given, key by key."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf as package
import numpy as np
import pytest

from blueprint.arithmetic import gumbel
from blueprint.errors import ParamError, SpecError
from checkpoints import checkpoint as checkpoints
from checkpoints import (
    digest,
    faults,
    gguf_file,
    gguf_writing,
    names,
    packages,
    reading,
    reference,
    safetensors_file,
)
from checkpoints import stored as stored_module
from checkpoints.checkpoint import Checkpoint, Dense
from checkpoints.gguf_header import Described, Header
from checkpoints.reference import Cache, Reference
from checkpoints.stored import Stored
from checkpoints.ternary import Statistics, Ternary
from tests.checkpoints import files, tiny

PATH = Path("m")
TOKENS = [5, 17, 200, 33]


def stored(shape: tuple[int, ...], asked: list[tuple[int, int]], kind: str = "F32") -> Stored:
    """A tensor of ones that keeps which rows were asked for."""

    def read(first: int, last: int) -> Any:
        asked.append((first, last))
        return np.ones((last - first, *shape[1:]), np.float32)

    return Stored(PATH, "w", shape, kind, read)


@pytest.mark.parametrize(
    ("shape", "size", "rows"),
    [
        ((7, 5), 35, [(0, 2), (2, 4), (4, 6), (6, 7)]),
        ((4, 5), 20, [(0, 2), (2, 4)]),
        ((2, 100), 200, [(0, 1), (1, 2)]),
        ((20,), 20, [(0, 10), (10, 20)]),
        ((2, 0), 0, [(0, 2)]),
        ((0, 5), 0, []),
        ((), 1, [(0, 1)]),
    ],
)
def test_a_tensor_is_scanned_in_pieces_of_whole_rows(
    shape: tuple[int, ...], size: int, rows: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_module, "PIECE", 10)
    asked: list[tuple[int, int]] = []
    tensor = stored(shape, asked)
    assert tensor.size == size
    list(tensor.pieces())
    assert asked == rows
    tensor.all()
    assert asked[-1] == (0, shape[0] if shape else 1)


def test_a_dense_tensor_is_surveyed_in_pieces_and_a_fault_named_by_its_row() -> None:
    asked: list[tuple[int, int]] = []
    wide = Dense("w", (5, 1 << 23), "F32", lambda first, last: asked.append((first, last)))  # type: ignore[arg-type, return-value]
    found = checkpoints._of_dense((None, "head"), wide)
    assert asked == [(0, 2), (2, 4), (4, 5)]
    assert (found.encoding, found.scales, found.statistics, found.divides) == ("floats", 0, None, False)
    whole = np.ones((6, 3), np.float32)
    whole[4, 2] = np.inf
    tensor = Stored(PATH, "w", (6, 3), "F32", lambda first, last: whole[first:last])
    with pytest.raises(SpecError, match=r"tensor 'w' must hold finite numbers, not inf at \[4, 2\]$"):
        checkpoints.of_stored(tensor).rows(3, 6)


def test_a_survey_goes_layer_by_layer_and_counts_matrices() -> None:
    made, told = tiny.checkpoint(), list[tuple[int, int]]()
    found = list(made.survey(lambda *done: told.append(done)))
    count = 2 * len(names.LINEAR)
    assert told == [(number, count) for number in range(1, count + 1)]
    assert [each.place for each in found[:count]] == [(n, role) for n in (0, 1) for role in names.LINEAR]
    norms = ["attention_norm", "attention_sub_norm", "ffn_norm", "ffn_sub_norm"]
    outside = [(None, "embedding"), (None, "final_norm")]
    assert [each.place for each in found[count:]] == [
        *outside,
        *((n, role) for n in (0, 1) for role in norms),
    ]
    first, matrix = found[0], made.matrix(0, "q")
    assert (first.scales, first.scale_min, first.scale_max) == (1, matrix.scale[0, 0], matrix.scale[0, 0])
    assert first.statistics == matrix.statistics() and first.shape == (256, 256)
    several = Ternary(matrix.codes, np.arange(1, 257, dtype=np.float32).reshape(-1, 1), True, "rows")
    place = checkpoints.Matrix("w", (256, 256), "U8", lambda: several)
    found_several = checkpoints._of_matrix((0, "q"), place)
    assert (found_several.scales, found_several.scale_min, found_several.scale_max) == (256, 1.0, 256.0)
    assert found_several.divides and found_several.encoding == "rows"


def test_shares_of_codes_by_hand() -> None:
    found = Statistics(3, 6, 1)
    assert (found.total, found.zero_share, found.positive_share) == (10, 0.6, 0.25)
    assert found + Statistics(10, 20, 30) == Statistics(13, 26, 31)
    assert Statistics(0, 4, 0).positive_share == 0.0 and str(Statistics(0, 4, 0).entropy) == "0.0"


# Files ---------------------------------------------------------------------------------------------------------------


def written(path: Path, header: bytes, data: bytes = b"", length: int | None = None) -> Path:
    return files.header(path / "model.safetensors", header, data, length)


def test_a_header_may_fill_its_file_and_be_as_long_as_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}')
    assert list(safetensors_file.read_file(path)) == ["a"]
    length = path.stat().st_size - 8
    monkeypatch.setattr(safetensors_file, "_LARGEST_HEADER", length)
    assert len(safetensors_file._header(path)) == length
    monkeypatch.setattr(safetensors_file, "_LARGEST_HEADER", length - 1)
    with pytest.raises(SpecError, match=f"header must be at most {length - 1} bytes, not {length}$"):
        safetensors_file._header(path)


@pytest.mark.parametrize(("length", "swapped"), [(2, True), (3, False), (0, False)])
def test_the_order_of_another_machine_is_suspected_where_it_would_fit(
    length: int, swapped: bool, tmp_path: Path
) -> None:
    big = int.from_bytes(length.to_bytes(8, "big"), "little") or 99
    path = written(tmp_path, b"{}", length=big)
    hint = ", or its bytes are in the order of another machine" if swapped else ""
    with pytest.raises(SpecError) as caught:
        safetensors_file._header(path)
    assert str(caught.value).endswith(f"says {big} of 2 bytes: the file is truncated or no safetensors{hint}")


def test_integers_of_a_header_have_64_bits(tmp_path: Path) -> None:
    assert safetensors_file._content(PATH, b'{"a": 1234567890123456789}') == {"a": 1234567890123456789}
    with pytest.raises(SpecError, match="header must hold integers of 64 bits, not '12345678901234567890'$"):
        safetensors_file._content(PATH, b'{"a": 12345678901234567890}')


def test_a_file_is_as_long_as_the_last_tensor_says(tmp_path: Path) -> None:
    path = tmp_path / "m"
    content = {
        "a": {"data_offsets": [0, 4]}, "b": {"data_offsets": [4, 9]}, "c": {"data_offsets": []},
        "d": {"data_offsets": ["0", "70"]}, "e": {"data_offsets": 80}, "f": {}, "g": [90], "h": 99,
    }  # fmt: skip
    for size, words in ((19, None), (18, "not 18: it is truncated"), (20, "not 20")):
        path.write_bytes(bytes(size))
        if words is None:
            safetensors_file._check_size(path, content, 10)
            continue
        with pytest.raises(SpecError) as caught:
            safetensors_file._check_size(path, content, 10)
        assert str(caught.value) == f"{path}:1:1: file must have 19 bytes as its header says, {words}"
    safetensors_file._check_size(path, [1], 20)


@pytest.mark.parametrize("place", ["", ".", "..", "a/b", "/a", 3])
def test_an_index_names_files_of_its_folder(place: object, tmp_path: Path) -> None:
    files.write_index(tmp_path, {"w": place})
    with pytest.raises(SpecError) as caught:
        safetensors_file.read_folder(tmp_path)
    assert f"'w' must be in a file of this folder, not in {str(place)!r}" in str(caught.value)


def test_a_whole_file_is_read_before_an_index_and_nothing_is_none(tmp_path: Path) -> None:
    assert safetensors_file.read_folder(tmp_path) is None
    files.write_index(tmp_path, {"w": "other.safetensors"})
    written(tmp_path, b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}')
    assert safetensors_file.read_folder(tmp_path) is not None
    safetensors_file.check_whole(tmp_path / "model.safetensors")
    safetensors_file.check_whole(tmp_path / "apart.safetensors")


@pytest.mark.parametrize(("length", "shown"), [(160, 160), (161, 140)])
def test_the_reason_of_a_package_is_short(length: int, shown: int) -> None:
    text = "Error while deserializing header: " + "x" * length
    assert safetensors_file._reason(ValueError(text)) == "x" * shown + ("" if shown == length else "...")


@pytest.mark.parametrize(
    ("length", "shown"), [(118, "'" + "x" * 118 + "'"), (119, "'" + "x" * 99 + "... (121 characters)")]
)
def test_a_name_is_quoted_and_short(length: int, shown: str) -> None:
    assert faults.shown("x" * length) == shown


@pytest.mark.parametrize(
    ("problem", "number"),
    [
        (OSError("12 requested and 0 written"), errno.ENOSPC),
        (OSError(errno.EROFS, "Read-only file system"), errno.EROFS),
        (RuntimeError("I/O error: whatever (os error 122)"), errno.EDQUOT),
        (RuntimeError("no number"), None),
    ],
)
def test_faults_of_the_disk_name_the_file(problem: Exception, number: int | None) -> None:
    with pytest.raises(Exception) as caught, faults.of_disk(PATH):
        raise problem
    if number is None:
        assert caught.value is problem
        return
    assert isinstance(caught.value, OSError)
    assert (caught.value.errno, caught.value.filename, caught.value.__cause__) == (number, "m", problem)


def test_the_identity_of_a_checkpoint_is_that_of_its_weights(tmp_path: Path) -> None:
    for name, content in (("b.safetensors", b"b" * (1 << 20)), ("a.gguf", b"a"), ("config.json", b"{}")):
        (tmp_path / name).write_bytes(content)
    assert digest.digest(tmp_path) == hashlib.sha256(b"a" + b"b" * (1 << 20)).hexdigest()
    assert digest.digest(tmp_path / "a.gguf") == hashlib.sha256(b"a").hexdigest()
    assert digest.digest(tmp_path / "none") == hashlib.sha256().hexdigest()


def test_names_stand_inside_or_outside_layers() -> None:
    inside, scale = "model.layers.12.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.weight_scale"
    outside = ["lm_head.weight", "model.norm.weight", "model.norm.weight_scale", "mlp.up_proj.weight"]
    ignored = "model.layers.0.self_attn.rotary_emb.inv_freq"
    strange = [
        "model.layers.01.mlp.up_proj.weight",
        "model.layers.3.lm_head.weight",
        "model.layers.1234567.x",
    ]
    found = names.HUGGING_FACE.sort([inside, scale, *outside, ignored, *strange])
    assert found.weights == {(12, "up"): inside, (None, "head"): outside[0], (None, "final_norm"): outside[1]}
    assert found.scales == {(0, "q"): scale} and found.others == [*outside[2:], *strange]
    # The name that comes first has the place.
    both = ["model.layers.0.self_attn.inner_attn_ln.weight", "model.layers.0.self_attn.attn_sub_norm.weight"]
    assert names.HUGGING_FACE.sort(both).weights == {(0, "attention_sub_norm"): both[0]}
    assert names.HUGGING_FACE.name((3, "attention_sub_norm")).endswith("3.self_attn.attn_sub_norm.weight")
    assert names.GGUF.scale_name("blk.0.attn_q.weight") == "blk.0.attn_q.scale"


def test_tensors_of_a_gguf_file_lie_side_by_side_up_to_its_end() -> None:
    def check(*places: tuple[str, int, int], total: int) -> None:
        tensors = tuple(Described(name, (size,), 0, offset) for name, offset, size in places)
        sizes = {name: size for name, _, size in places}
        gguf_file._check_places(PATH, Header({}, tensors, 64), sizes, total)

    check(("b", 8, 4), ("a", 0, 8), total=76)
    with pytest.raises(
        SpecError, match="tensor 'b' must lie in the file of 75 bytes, not at 72 to 76: the file"
    ):
        check(("b", 8, 4), ("a", 0, 8), total=75)
    with pytest.raises(SpecError, match="'b' must not share bytes with 'a', and both have byte 72$"):
        check(("b", 8, 4), ("a", 0, 9), total=76)


@pytest.mark.parametrize("number", [31, 32, 33, 36, 37, 38, 0, 1, 2, 30, 35, 39])
def test_types_of_gguf_by_number(number: int) -> None:
    """I2_S is of bitnet.cpp alone; what neither has is refused with its origin, where it is known."""
    known = {
        31: "Q4_0_4_4",
        32: "Q4_0_4_8",
        33: "Q4_0_8_8",
        37: "I8_S of bitnet.cpp",
        38: "TL1 of bitnet.cpp",
    }
    of = {0: "F32", 1: "F16", 2: "Q4_0", 30: "BF16", 35: "TQ2_0", 36: "I2_S", 39: "MXFP4"}
    tensor = Described("w", (1,), number, 0)
    if number in of:
        assert gguf_file.kind_of(PATH, tensor) == of[number]
        return
    with pytest.raises(SpecError) as caught:
        gguf_file.kind_of(PATH, tensor)
    assert f"not {number} ({known[number]}" in str(caught.value)


@pytest.mark.parametrize("kind", gguf_file._NUMBERS)
def test_numbers_of_every_kind_are_read_by_rows(kind: str) -> None:
    form = np.dtype(gguf_file._NUMBERS[kind])
    whole = np.arange(6).astype(form).reshape(3, 2)
    number = package.GGMLQuantizationType[kind].value
    tensor = Described("w", (3, 2), number, 0)
    assert gguf_file._bytes(PATH, tensor) == 6 * form.itemsize
    found = gguf_file._stored(PATH, tensor, np.frombuffer(whole.tobytes(), np.uint8))
    assert found.read(1, 3).tolist() == [[2, 3], [4, 5]] and (found.kind, found.shape) == (kind, (3, 2))


def test_rows_of_blocks_are_those_of_the_first_axis() -> None:
    """Of three axes too: a row of the first has two rows of blocks."""
    values = np.random.default_rng(3).normal(size=(3, 2, 32)).astype(np.float32)
    kind = package.GGMLQuantizationType.Q8_0
    packed = package.quants.quantize(values, kind)
    whole = package.quants.dequantize(packed, kind)
    tensor = Described("w", values.shape, kind.value, 0)
    data = np.frombuffer(packed.tobytes(), np.uint8)
    assert gguf_file._bytes(PATH, tensor) == data.size
    found = gguf_file._stored(PATH, tensor, data)
    for first, last in ((0, 3), (1, 3), (2, 3), (1, 2)):
        assert np.array_equal(found.float_rows(first, last), whole[first:last])


# Writing -------------------------------------------------------------------------------------------------------------


def test_every_key_of_a_gguf_file_that_is_written(tmp_path: Path) -> None:
    made = files.made(tmp_path)
    for encoding, number in (("tq1_0", 36), ("tq2_0", 37), ("i2_s", 40)):
        metadata, tensors = gguf_file.read_file(files.gguf(tmp_path / "m.gguf", made, encoding))
        plain = {key: value for key, value in metadata.items() if not key.startswith("tokenizer.")}
        sizes = {
            "context_length": 64, "embedding_length": 256, "block_count": 2, "feed_forward_length": 512,
            "attention.head_count": 8, "attention.head_count_kv": 4, "attention.key_length": 32,
            "attention.value_length": 32, "attention.layer_norm_rms_epsilon": float(np.float32(1e-5)),
            "rope.dimension_count": 32, "rope.freq_base": 500_000.0, "vocab_size": 300,
        }  # fmt: skip
        general = {"architecture": "bitnet-b1.58", "name": "tiny", "file_type": number}
        assert plain == {
            **{f"general.{key}": value for key, value in general.items()},
            **{f"bitnet-b1.58.{key}": value for key, value in sizes.items()},
        }
        words = {key.removeprefix("tokenizer.ggml."): value for key, value in metadata.items()}
        assert (words["model"], words["pre"], words["bos_token_id"], words["eos_token_id"]) == (
            *("gpt2", "gpt-2"),
            *(1, 2),
        )
        assert words["token_type"].tolist() == [3] * 3 + [1] * 297
        kinds = {each.kind for name, each in tensors.items() if "attn_q." in name or "ffn_up" in name}
        assert kinds == {encoding.upper()}
        assert tensors["token_embd.weight"].kind == tensors["blk.0.attn_norm.weight"].kind == "F32"


def test_embeddings_without_a_token_are_padding(tmp_path: Path) -> None:
    words = tiny.vocabulary(tmp_path / "words")
    made = dataclasses.replace(tiny.checkpoint(words), vocabulary=words)
    taken: dict[str, Any] = {}

    class Writer:
        def __getattr__(self, name: str) -> Callable[[Any], None]:
            return lambda value: taken.update({name: value})

    assert made.vocabulary is not None
    gguf_writing._add_vocabulary(Writer(), made.vocabulary, 303)
    assert taken["add_token_list"][299:] == [
        words.tokenizer.id_to_token(299),
        *("[PAD300]", "[PAD301]", "[PAD302]"),
    ]
    assert taken["add_token_types"] == [3] * 3 + [1] * 297 + [5] * 3
    merges = json.loads(words.tokenizer.to_str())["model"]["merges"]
    assert taken["add_token_merges"] == [" ".join(each) for each in merges] and len(merges) == 300 - 259


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ({"type": "ByteLevel"}, "gpt-2"),
        ({"type": "ByteLevel", "use_regex": True, "add_prefix_space": False}, "gpt-2"),
        ({"type": "ByteLevel", "use_regex": False}, None),
        ({"type": "ByteLevel", "add_prefix_space": True}, None),
        ({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]}, "gpt-2"),
        ({"type": "Metaspace"}, None),
        (
            {"pretokenizers": [{"type": "Split", "pattern": {"Regex": "LLAMA"}}, {"type": "ByteLevel"}]},
            "llama-bpe",
        ),
        ({"pretokenizers": [{"type": "Split", "pattern": {"Regex": "x"}}, {"type": "ByteLevel"}]}, None),
        ({"pretokenizers": [{"type": "Split", "pattern": {"Regex": "LLAMA"}}]}, None),
        ({"pretokenizers": [{"type": "Split"}, {"type": "ByteLevel"}]}, None),
        (None, None),
    ],
)
def test_a_cut_that_gguf_has_a_name_for(steps: Any, name: str | None) -> None:
    from checkpoints.vocabulary import PATTERNS, Vocabulary

    words = Vocabulary(None, PATH)
    given = json.loads(json.dumps(steps).replace('"LLAMA"', json.dumps(PATTERNS["llama-bpe"])))
    if name is not None:
        assert gguf_writing._cut(given, words) == name
        return
    with pytest.raises(ParamError, match="must have a pre_tokenizer of bytes cut as by GPT-2 or Llama 3"):
        gguf_writing._cut(given, words)


@pytest.mark.parametrize(
    ("shape", "kind", "becomes"),
    [
        ((4, 2), "F16", ("F16", 2)),
        ((4, 2), "BF16", ("BF16", 2)),
        ((4, 2), "F32", ("F32", 4)),
        ((4, 2), "F64", ("F32", 4)),
        ((4,), "F16", ("F32", 4)),
        ((4,), "BF16", ("F32", 4)),
    ],
)
def test_vectors_of_a_gguf_file_are_fp32(shape: tuple[int, ...], kind: str, becomes: tuple[str, int]) -> None:
    dense = Dense("w", shape, kind, lambda first, last: np.full((last - first, *shape[1:]), 1.5, np.float32))
    assert gguf_writing._kind(dense) == becomes
    values, written_as = gguf_writing._dense(dense)
    assert written_as == becomes[0] and values.nbytes == int(np.prod(shape)) * becomes[1]
    assert values.tobytes() == {"F16": b"\x00>", "BF16": b"\xc0?", "F32": b"\x00\x00\xc0?"}[written_as] * int(
        np.prod(shape)
    )


# The reference -------------------------------------------------------------------------------------------------------


def test_products_are_exact_integers_in_the_smallest_float_that_holds_them() -> None:
    for inputs, kind in (((1 << 17) - 1, np.float32), (1 << 17, np.float64)):
        matrix = Ternary(np.zeros((1, inputs), np.int8), np.ones((1, 1), np.float32), False, "")
        assert reference._Product(matrix)._codes[0].dtype == kind


def test_a_context_may_be_filled() -> None:
    decoder, cache = Reference(tiny.checkpoint()), Cache()
    assert cache.length == 0
    decoder.logits([1] * 60, cache)
    decoder.logits([1] * 4, cache)
    assert cache.length == 64 and decoder.loss([1, 2]) > 0.0


def test_drawn_tokens_are_the_largest_of_logits_by_temperature_and_noise() -> None:
    decoder, seed, temperature = Reference(tiny.checkpoint()), 5, 3.0
    found = list(decoder.continuation(TOKENS, 5, temperature, seed))
    given = list(TOKENS)
    for token in found:
        logits = decoder.logits(given)[-1]
        noise = gumbel.noise(gumbel.random_words(gumbel.key(seed, len(given) - 1), np.arange(300)))
        assert token == int((logits / temperature + gumbel.values(noise)).argmax())
        given.append(token)
    assert found != list(decoder.continuation(TOKENS, 5))


def parts(made: Checkpoint, dense: dict[names.Place, Any], **model: object) -> Checkpoint:
    """A checkpoint with more tensors and another description."""
    arrays = {place: each.read() for place, each in made.dense.items()} | dense
    changed = dataclasses.replace(made.decoder.model, **model)  # type: ignore[arg-type]
    matrices = {place: made.matrix(*place) for place in made.layers()}
    return checkpoints.of_arrays(dataclasses.replace(made.decoder, model=changed), matrices, arrays)


def test_a_head_of_its_own_takes_the_place_of_the_embedding() -> None:
    made = tiny.checkpoint()
    twice = made.dense[None, "embedding"].read() * np.float32(2)
    alone = parts(made, {(None, "head"): twice}, tied_embeddings=False)
    assert np.array_equal(Reference(alone).logits(TOKENS), 2 * Reference(made).logits(TOKENS))
    assert np.array_equal(
        Reference(parts(made, {(None, "head"): twice})).logits(TOKENS), Reference(made).logits(TOKENS)
    )


@pytest.mark.parametrize("role", ["q", "k"])
def test_norms_of_heads_are_those_of_their_role(role: str) -> None:
    seen: dict[tuple[int, str], Any] = {}
    weight = np.full(32, 2, np.float32)
    made = parts(tiny.checkpoint(), {(1, f"{role}_norm"): weight})
    Reference(made, lambda layer, name, heads: seen.update({(layer, name): heads})).logits(TOKENS)
    assert {name: seen[1, name].shape for name in ("q", "k", "v", "mixed")} == {
        "q": (4, 8, 32), "k": (4, 4, 32), "v": (4, 4, 32), "mixed": (4, 8, 32),
    }  # fmt: skip
    for key, heads in seen.items():
        # Rotation keeps the length of a head, whose mean square a norm of 2 makes 4.
        assert np.allclose((heads**2).mean(axis=-1), 4, atol=1e-2) is (key == (1, role)), key


def test_a_feed_forward_without_a_gate_and_without_its_norm() -> None:
    made = tiny.checkpoint()
    state = np.random.default_rng(2).normal(size=(3, 256)).astype(np.float32)
    for changes in ({"gated": False}, {"sub_norms": False}, {"gated": False, "sub_norms": False}, {}):
        decoder = Reference(parts(made, {}, **changes))
        x = decoder._norm(1, "ffn_norm", state)
        up, gate = (decoder._matrices[1, role](x) for role in ("up", "gate"))
        mixed = np.maximum(gate, 0) ** 2 * up if changes.get("gated", True) else np.maximum(up, 0) ** 2
        if changes.get("sub_norms", True):
            weight = made.dense[1, "ffn_sub_norm"].read()
            mixed = weight * mixed / np.sqrt((mixed**2).mean(axis=1, keepdims=True) + 1e-5)
        wanted = decoder._matrices[1, "down"](mixed.astype(np.float32))
        assert np.allclose(
            decoder._feed_forward(1, state), wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max()
        )


def test_a_file_of_weights_is_told_by_its_name_or_its_content(tmp_path: Path) -> None:
    made = files.made(tmp_path)
    folder = files.folder(tmp_path / "m", made)
    by_content = files.gguf(tmp_path / "m.gguf", made).rename(tmp_path / "weights")
    for path in (folder, folder / "model.safetensors", by_content):
        found = reading.read(path, "tiny")
        assert found.checkpoint is not None and found.ternary and found.model.hidden == 256
    assert reading.read(folder / "config.json", "tiny").checkpoint is None
    with pytest.raises(SpecError, match=r"m.gguf:1:1: file must exist, and there is none$"):
        reading.read(tmp_path / "m.gguf")
    files.gguf(tmp_path / "n.gguf", made)
    with pytest.raises(SpecError, match="file must exist, and there is none; did you mean 'n.gguf'"):
        reading.read(tmp_path / "m.gguf")
    (folder / "model.safetensors").rename(folder / "model.bin")
    assert reading.read(folder, "tiny").notes == (
        "weights are not read: they must be in model.safetensors, not in model.bin",
    )


def test_a_note_on_what_is_not_there_stands_beside_the_others() -> None:
    model = dataclasses.replace(tiny.MODEL, notes=("one", "two"))
    found = reading._with_parts(model, {"up", "down", "ffn_sub_norm"})
    assert found.notes == ("one", "two", reading.NO_GATE) and found.sub_norms and not found.gated
    assert reading._with_parts(model, {"gate", "up"}).notes == ("one", "two")
    plain = dataclasses.replace(model, gated=False)
    assert reading._with_parts(plain, {"up"}).notes == ("one", "two")


@pytest.mark.parametrize(("kind", "asked"), [("U8", ["safetensors"]), ("BF16", ["safetensors", "ml_dtypes"])])
def test_a_package_is_asked_for_where_a_file_needs_it(
    kind: str, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, real = list[str](), packages.load
    monkeypatch.setattr(packages, "load", lambda name, what: loaded.append(name) or real(name, what))
    content = f'{{"a":{{"dtype":"{kind}","shape":[0],"data_offsets":[0,0]}}}}'.encode()
    safetensors_file.read_file(written(tmp_path, content))
    assert loaded == asked
