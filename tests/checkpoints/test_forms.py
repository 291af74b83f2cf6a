"""Every form of a checkpoint is read as what it is: one decoder, written in each form, read back to the bit."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Any

import gguf as package
import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from checkpoints import decoder, linear, packing, reading, ternary
from checkpoints.checkpoint import Checkpoint, of_arrays
from checkpoints.names import GATE, LINEAR
from checkpoints.reference import Reference
from checkpoints.stored import Stored
from checkpoints.ternary import Ternary
from tests.checkpoints import files, tiny
from tests.checkpoints.damaged import text


def read(path: Path) -> Checkpoint:
    found = reading.read(path, "tiny").checkpoint
    assert found is not None
    return found


def encodings(found: Checkpoint) -> set[str]:
    return {each.encoding for each in found.survey() if each.place[1] in LINEAR}


@pytest.mark.parametrize("divides", [False, True])
def test_a_packed_folder_is_read_as_it_was_written(tmp_path: Path, divides: bool) -> None:
    made = files.made(tmp_path, divides=divides)
    found = read(files.folder(tmp_path / "tiny", made))
    files.same(found, made)
    assert found.decoder == dataclasses.replace(made.decoder, model=found.decoder.model)
    assert dataclasses.replace(found.decoder.model, source="memory", notes=()) == made.decoder.model
    assert found.matrix(0, "q").divides is divides
    assert encodings(found) == {"packed rows"}


@pytest.mark.parametrize("encoding", ["tq1_0", "tq2_0", "i2_s"])
def test_a_gguf_file_is_read_as_it_was_written(tmp_path: Path, encoding: str) -> None:
    made = files.made(tmp_path)
    found = read(files.gguf(tmp_path / "tiny.gguf", made, encoding))
    files.same(found, made)
    assert dataclasses.replace(found.decoder.model, source="memory", notes=()) == made.decoder.model
    assert encodings(found) == {encoding.upper()}
    assert found.decoder.epsilon == pytest.approx(1e-5)
    assert found.decoder.rotary == decoder.HALF


def test_shards_are_read_by_their_index(tmp_path: Path) -> None:
    made = files.made(tmp_path)
    files.same(read(files.shards(tmp_path / "tiny", made)), made)


@pytest.mark.parametrize("kind", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_unpacked_ternary_floats_are_recognized(tmp_path: Path, kind: type) -> None:
    made = files.made(tmp_path)
    place = files.floats(
        tmp_path / "tiny",
        made,
        lambda m: m.weights().astype(kind),
        model_type="llama",
        quantization_config=None,
    )
    found = read(place)
    files.same(found, made)
    assert encodings(found) == {"ternary floats"}


def test_codes_in_floats_take_the_scale_beside_them(tmp_path: Path) -> None:
    made = files.made(tmp_path, divides=True)
    place = files.folder(tmp_path / "tiny", made)

    def unpacked(tensors: files.Tensors) -> None:
        for layer, role in made.layers():
            name = f"model.layers.{layer}.{'self_attn' if role in 'qkvo' else 'mlp'}.{role}_proj.weight"
            tensors[name] = made.matrix(layer, role).codes.astype(np.float32)

    files.change(place, unpacked)
    files.same(read(place), made)
    assert read(place).matrix(0, "up").divides


def test_master_weights_take_their_absmean(tmp_path: Path) -> None:
    """Against the equations of the paper in plain FP64; near a tie between codes either is right."""
    made, random = files.made(tmp_path), np.random.default_rng(7)
    config = files.BITNET | {"linear_class": "autobitlinear", "quantization_mode": "online"}
    masters = {
        place: random.normal(0, 0.02, made.matrix(*place).shape).astype(np.float32) for place in made.layers()
    }
    order = iter(made.layers())
    place = files.floats(tmp_path / "tiny", made, lambda _: masters[next(order)], quantization_config=config)
    found = read(place)
    assert encodings(found) == {"master weights, absmean"}
    for where, weights in masters.items():
        exact = weights.astype(np.float64)
        mean = np.abs(exact).mean()
        matrix = found.matrix(*where)
        assert matrix.scale.tolist() == [[np.float32(mean)]] and not matrix.divides
        clear = np.abs(np.abs(exact / mean) - 0.5) > 1e-5
        assert clear.mean() > 0.99
        assert np.array_equal(matrix.codes[clear], np.clip(np.rint(exact / mean), -1, 1)[clear])


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bitnet", "quantization_config": None},
        {"model_type": "llama", "quantization_config": None, "weight_bits": 1},
    ],
)
def test_other_configurations_say_that_weights_are_masters(tmp_path: Path, config: dict[str, object]) -> None:
    made = files.made(tmp_path)
    place = files.floats(tmp_path / "tiny", made, lambda m: m.weights() + np.float32(0.001), **config)
    assert encodings(read(place)) == {"master weights, absmean"}


def test_weights_of_full_precision_are_said_to_be_so(tmp_path: Path) -> None:
    made = files.made(tmp_path)
    place = files.floats(
        tmp_path / "tiny",
        made,
        lambda m: m.weights() + np.float32(0.001),
        model_type="llama",
        quantization_config=None,
    )
    found = read(place)
    assert encodings(found) == {"full precision"}
    with pytest.raises(
        ValueError, match=r"tensor 'model.layers.0.mlp.up_proj.weight' must be ternary, not of full prec"
    ):
        found.matrix(0, "up")


@pytest.mark.parametrize("group", [0, 32, 64, 128, 256])
def test_scales_of_groups_are_found(group: int) -> None:
    """Groups of columns, and with 0 rows; also where a group is all zeros."""
    codes = np.random.default_rng(3).integers(-1, 2, (6, 512)).astype(np.int8)
    codes[:, :2] = [1, -1]
    codes[2, :256] = 0
    groups = 512 // group if group else 1
    scale = np.random.default_rng(4).uniform(0.1, 2, (6, groups)).astype(np.float32)
    weights = Ternary(codes, scale, False, "").weights()
    found = ternary.from_floats(weights)
    assert found is not None and not found.single
    assert found.scale.shape == (6, groups)
    assert np.array_equal(found.codes, codes)
    assert np.array_equal(found.weights(), weights)


def test_floats_that_are_not_ternary_are_noticed() -> None:
    weights = np.where(np.eye(64) > 0, np.float32(0.5), np.float32(-0.25)).astype(np.float32)
    assert ternary.from_floats(weights) is None
    assert ternary.from_floats(np.sign(weights)) is not None


def test_blocks_with_different_scales_keep_them(tmp_path: Path) -> None:
    made = files.made(tmp_path)
    path = files.gguf(tmp_path / "tiny.gguf", made)
    data = bytearray(path.read_bytes())
    first = package.GGUFReader(path).tensors[-1].data_offset
    data[first + 64 : first + 66] = np.float16(
        0.5
    ).tobytes()  # of the first block of zeros: it counts for nothing
    data[first + 130 : first + 132] = np.float16(0.375).tobytes()
    path.write_bytes(data)
    matrix = read(path).matrix(1, "down")
    assert matrix.scale.shape == (256, 2)
    assert matrix.scale[0].tolist() == [0.5, 0.375]


def test_a_tied_head_that_is_there_as_well_is_no_matter(tmp_path: Path) -> None:
    made = files.made(tmp_path)
    place = files.folder(tmp_path / "tiny", made)
    files.change(place, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].copy()}))
    files.same(read(place), made)


@pytest.mark.parametrize("form", ["folder", "shards", "gguf"])
def test_a_model_without_a_gate_is_read_without_one(tmp_path: Path, form: str) -> None:
    made = files.made(tmp_path)
    plain = without_gates(made)
    path = getattr(files, form)(tmp_path / f"tiny.{form}", plain)
    found = files.found(path)
    files.same(found, plain)
    assert not found.decoder.model.gated
    assert reading.NO_GATE in found.decoder.model.notes
    model = dataclasses.replace(plain.decoder.model, gated=False)
    wanted = dataclasses.replace(plain, decoder=dataclasses.replace(plain.decoder, model=model))
    logits = Reference(found).logits([1, 7, 9])
    assert np.array_equal(logits, Reference(wanted).logits([1, 7, 9]))
    assert not np.array_equal(logits, Reference(made).logits([1, 7, 9]))


def without_gates(made: Checkpoint) -> Checkpoint:
    """The checkpoint without the matrices of its gates; its model still says that it has them."""
    matrices = {place: made.matrix(*place) for place in made.layers() if place[1] != GATE}
    return of_arrays(
        made.decoder, matrices, {where: dense.read() for where, dense in made.dense.items()}, made.vocabulary
    )


def test_what_the_description_has_no_word_for_is_noted(tmp_path: Path) -> None:
    made = files.made(tmp_path)
    path = files.folder(tmp_path / "tiny", made)
    assert files.found(path).decoder.model.notes == ()
    files.configure(path, rope_scaling={"rope_type": "llama3", "factor": 8.0}, rms_norm_eps=None)
    assert files.found(path).decoder.model.notes == (
        "rotary positions are scaled (rope_scaling 'llama3'), which is not in what is read",
        "not in the config and taken from the defaults of its class: rms_norm_eps 1e-05",
    )


def test_a_window_is_read_and_kept(tmp_path: Path) -> None:
    made = files.made(tmp_path)
    path = files.folder(tmp_path / "tiny", made)
    assert files.found(path).decoder.windows == ()
    context = made.decoder.model.context
    for given, windows in ((None, ()), (5, (5, 5)), (context, ())):
        files.configure(path, sliding_window=given)
        assert files.found(path).decoder.windows == windows
    files.configure(path, sliding_window=5, layer_types=["full_attention", "sliding_attention"])
    found = files.found(path)
    assert found.decoder.windows == (0, 5)
    tokens = list(range(9))
    assert not np.array_equal(Reference(found).logits(tokens)[-1], Reference(made).logits(tokens)[-1])


def test_what_a_gguf_file_leaves_open_is_noted(tmp_path: Path) -> None:
    path = files.gguf(tmp_path / "tiny.gguf", files.made(tmp_path))
    assumed = "not in the file and as llama.cpp runs the architecture bitnet-b1.58: activation relu2"
    assert files.found(path).decoder.model.notes == (assumed,)
    key = text("bitnet-b1.58.rope.dimension_count") + struct.pack("<I", 4)
    files.replace(path, key + struct.pack("<I", 32), key + struct.pack("<I", 16))
    assert files.found(path).decoder.model.notes == (
        assumed,
        "rotary positions turn 16 elements of a head only, which is not in what is read",
    )


def test_other_kinds_of_the_embedding_are_kept(tmp_path: Path) -> None:
    """BF16 from folder to folder and to GGUF, F16 likewise, Q8_0 in blocks of ggml as floats."""
    made = files.made(tmp_path)
    for kind, name in ((ml_dtypes.bfloat16, "BF16"), (np.float16, "F16")):
        place = files.folder(tmp_path / name, made)
        files.change(
            place,
            lambda t, kind=kind: t.update(
                {"model.embed_tokens.weight": t["model.embed_tokens.weight"].astype(kind)}
            ),
        )
        once = read(place)
        assert once.dense[None, "embedding"].kind == name
        for again in (files.folder(tmp_path / f"{name}2", once), files.gguf(tmp_path / f"{name}.gguf", once)):
            files.same(read(again), once)
            assert read(again).dense[None, "embedding"].kind == name


def test_blocks_of_ggml_that_are_not_ternary_are_dequantized(tmp_path: Path) -> None:
    """An embedding in Q8_0, as llama.cpp writes it, by the package ``gguf``."""
    values = np.random.default_rng(5).standard_normal((300, 256)).astype(np.float32)
    packed = package.quants.quantize(values, package.GGMLQuantizationType.Q8_0)
    writer = package.GGUFWriter(tmp_path / "one.gguf", "bitnet")
    writer.add_tensor("token_embd.weight", packed, raw_dtype=package.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    from checkpoints import gguf_file

    stored = gguf_file.read_file(tmp_path / "one.gguf")[1]["token_embd.weight"]
    wanted = package.quants.dequantize(packed, package.GGMLQuantizationType.Q8_0)
    assert stored.kind == "Q8_0" and stored.shape == (300, 256)
    assert np.array_equal(stored.float_rows(7, 19), wanted[7:19])
    assert np.array_equal(np.concatenate(list(stored.pieces())), wanted)


def test_rows_are_read_without_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening reads no tensor, and asking for one reads one."""
    made = files.made(tmp_path)
    place = files.folder(tmp_path / "tiny", made)
    asked: list[str] = []
    real = linear.Linear.read
    monkeypatch.setattr(linear.Linear, "read", lambda self: asked.append(self.weight.name) or real(self))
    found = read(place)
    assert asked == []
    found.matrix(1, "k")
    assert asked == ["model.layers.1.self_attn.k_proj.weight"]


def test_statistics_of_codes() -> None:
    codes = np.array([[-1, -1, 0, 0, 0, 0, 1, 1]], np.int8)
    found = Ternary(codes, np.ones((1, 1), np.float32), False, "").statistics()
    assert (found.zero_share, found.positive_share, found.entropy) == (0.5, 0.5, 1.5)
    assert ternary.Statistics(0, 8, 0).entropy == 0
    assert ternary.Statistics(1, 1, 1).entropy == pytest.approx(np.log2(3))
    assert found + found == ternary.Statistics(4, 8, 4)


def test_the_headers_are_as_gguf_reads_them(tmp_path: Path) -> None:
    """Metadata and tensors by the package's reader, which cannot read I2_S."""
    made = files.made(tmp_path)
    path = files.gguf(tmp_path / "tiny.gguf", made, "tq1_0")
    theirs = package.GGUFReader(path)
    from checkpoints import gguf_file

    metadata, stored = gguf_file.read_file(path)
    for name, field in theirs.fields.items():
        if not name.startswith("GGUF."):
            value = metadata[name]
            assert (value.tolist() if isinstance(value, np.ndarray) else value) == field.contents(), name
    assert len(metadata) == len([name for name in theirs.fields if not name.startswith("GGUF.")])
    assert [each.name for each in theirs.tensors] == list(stored)
    for each in theirs.tensors:
        mine = stored[each.name]
        assert mine.shape == tuple(each.shape[::-1].tolist())
        assert mine.kind == each.tensor_type.name
        assert mine.all().tobytes() == each.data.tobytes()
    bad = files.gguf(tmp_path / "other.gguf", made, "i2_s")
    with pytest.raises(ValueError, match=r"36\)? is not a valid GGMLQuantizationType"):
        package.GGUFReader(bad)


def test_the_tiny_decoder_exercises_what_it_should() -> None:
    """Heads are grouped, scales differ, a block is zero and signs are out of balance."""
    made = tiny.checkpoint()
    assert made.decoder.model.heads != made.decoder.model.kv_heads
    assert len({float(made.matrix(*place).scale[0, 0]) for place in made.layers()}) > 4
    found = [made.matrix(*place).statistics().positive_share for place in made.layers()]
    assert max(found) < 0.49


def stored(name: str, kind: str, values: NDArray[Any], shape: tuple[int, ...] | None = None) -> Stored:
    """A tensor of a file, of which the whole is read."""
    return Stored(Path("m"), name, shape or values.shape, kind, lambda first, last: values)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("kind", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_scale_may_be_of_any_shape_and_kind(tmp_path: Path, shape: tuple[int, ...], kind: type) -> None:
    made = files.made(tmp_path)
    place = files.folder(tmp_path / "tiny", made)
    name = "model.layers.0.self_attn.q_proj.weight_scale"
    files.change(place, lambda t: t.update({name: np.full(shape, 0.75, kind)}))
    assert files.found(place).matrix(0, "q").scale.tolist() == [[0.75]]


def test_a_scale_beside_blocks_multiplies() -> None:
    """As llama.cpp multiplies the product of ``attn_q.weight`` by ``attn_q.scale``; blocks then have the scale 1."""
    codes = np.random.default_rng(1).integers(-1, 2, (2, 256)).astype(np.int8)
    beside = stored("blk.0.attn_q.scale", "F32", np.array([0.375], np.float32))
    says = linear.Convention("the architecture bitnet", ternary=True)
    for kind, pack in (("TQ1_0", packing.pack_tq1_0), ("TQ2_0", packing.pack_tq2_0)):
        weight = stored(
            "blk.0.attn_q.weight", kind, pack(codes, np.ones(2, np.float16)).reshape(-1), (2, 256)
        )
        found = linear.Linear(weight, beside, (2, 256), says).read()
        assert found is not None
        assert found.multiplier.tolist() == [[0.375]] and np.array_equal(found.codes, codes)
        weight = stored(
            "blk.0.attn_q.weight", kind, pack(codes, np.full(2, 2, np.float16)).reshape(-1), (2, 256)
        )
        with pytest.raises(
            ValueError, match=r"not have both a scale of its own and one beside it, blk.0.attn_q.scale$"
        ):
            linear.Linear(weight, beside, (2, 256), says).read()


def test_matrices_of_zeros_have_the_scale_one() -> None:
    zeros = np.zeros((2, 256), np.int8)
    found = ternary.from_floats(zeros.astype(np.float32))
    assert found is not None and found.scale.tolist() == [[1.0]] and not found.codes.any()
    blocks = packing.pack_tq2_0(zeros, np.zeros(2, np.float16)).reshape(-1)
    weight = stored("w", "TQ2_0", blocks, (2, 256))
    again = linear.Linear(weight, None, (2, 256), linear.Convention("GGUF")).read()
    assert again is not None and again.scale.tolist() == [[1.0]] and not again.codes.any()
