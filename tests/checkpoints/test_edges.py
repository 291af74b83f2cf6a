"""Headers, tensors and blocks at the edges of what they may be, each from both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blueprint.errors import SpecError
from checkpoints import linear, packing, safetensors_file
from tests.checkpoints import files
from tests.checkpoints.test_forms import stored


@pytest.mark.parametrize("beyond", [1, 7, 8, 9])
def test_a_header_that_ends_behind_the_file_is_refused_however_little(beyond: int, tmp_path: Path) -> None:
    """Its length counts from byte 8 on, so that of the file is no limit."""
    path = files.header(tmp_path / "model.safetensors", b"{}" + b" " * 30, b"", 32 + beyond)
    told = f"length says {32 + beyond} of 32 bytes: the file is truncated or no safetensors$"
    with pytest.raises(SpecError, match=told):
        safetensors_file._header(path)
    assert safetensors_file._header(files.header(path, b"{}" + b" " * 30, b"", 32)) == b"{}" + b" " * 30


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (4, 3), (5,), (1,), (0, 3), (3, 0), ()])
def test_rows_of_every_shape_are_those_that_were_asked_for(shape: tuple[int, ...], tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    whole = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    save_file({"a": whole}, str(tmp_path / "model.safetensors"))
    found = safetensors_file.read_file(tmp_path / "model.safetensors")["a"]
    assert found.shape == shape and np.array_equal(found.all(), whole)
    assert np.array_equal(
        np.concatenate([part.reshape(-1) for part in found.pieces()] or [whole.reshape(-1)]),
        whole.reshape(-1),
    )
    if shape and 0 not in shape:
        assert np.array_equal(found.read(shape[0] - 1, shape[0]), whole[-1:])
        assert np.array_equal(found.float_rows(0, 1), whole[:1])


@pytest.mark.parametrize(("kind", "pack"), [("TQ1_0", packing.pack_tq1_0), ("TQ2_0", packing.pack_tq2_0)])
@pytest.mark.parametrize(
    ("scale", "legal"), [(0.0, True), (2.0, True), (-0.5, True), (-1.0, False), (-1.5, False)]
)
def test_a_block_of_zeros_may_have_the_scale_zero(kind: str, pack: object, scale: float, legal: bool) -> None:
    codes = np.zeros((2, 256), np.int8)
    codes[0, 7] = 1
    assert callable(pack)
    weight = stored("w", kind, pack(codes, np.array([0.5, scale], np.float16)).reshape(-1), (2, 256))
    layer = linear.Linear(weight, None, (2, 256), linear.Convention("GGUF"))
    if legal:
        found = layer.read()
        assert found is not None and np.array_equal(found.codes, codes) and found.scale.tolist() == [[0.5]]
    else:
        with pytest.raises(SpecError, match=rf"must have scales finite and above 0, not {scale + 1}$"):
            layer.read()
