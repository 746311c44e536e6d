"""The model at its full size with random weights: the loader takes the published names, shapes and type.

The default run loads files without values on torch's meta device, where nothing is computed. The slow test
writes all 4.98 GB, loads them and makes one denoising step; `I2V_FULL_SIZE_MODEL` names a folder for them
that is kept between runs.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file

from i2v.core.errors import ModelUnavailable
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.i2vgen_xl.components import load_components
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from scripts.full_size.layout import FILES, PUBLISHED_SIZES, Shapes, read_table
from scripts.full_size.write import file_size, header, is_written, write_model

ROOT = Path(__file__).parents[1]
NO_VALUES = MemoryPlan("meta", "float32")
TABLE = read_table()
REDUCED = {  # a few small tensors of each part
    part: {name: shape for name, shape in list(shapes.items())[:12] if math.prod(shape) < 100_000}
    for part, shapes in TABLE.items()
}


@pytest.fixture(scope="module")
def empty_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole folder, with zeros that take no place on the disk."""
    folder = tmp_path_factory.mktemp("empty") / "i2vgen-xl"
    write_model(folder, None, TABLE)
    return folder


def in_memory(name: str) -> str:
    """Return what transformers 5 calls a tensor that transformers 4 saved."""
    return name.removeprefix("text_model.")


def shown_by_the_hub(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


@pytest.mark.parametrize("part", FILES)
def test_the_files_have_the_published_sizes(part: str) -> None:
    sizes = (file_size(TABLE[part], "F32", 4), file_size(TABLE[part]))
    assert tuple(shown_by_the_hub(size) for size in sizes) == PUBLISHED_SIZES[part]


def test_the_unet_has_the_published_number_of_parameters() -> None:
    assert round(sum(math.prod(shape) for shape in TABLE["unet"].values()) / 1e9, 2) == 1.42


def test_an_image_encoder_of_its_class_has_the_size_of_a_file_of_that_winter() -> None:
    """Stable Video Diffusion's, known to the byte: names as here, and no `position_ids`."""
    assert file_size(TABLE["image_encoder"]) == 1_264_217_240


@pytest.mark.slow
def test_the_loader_takes_every_published_name_and_shape(empty_model: Path) -> None:
    components = load_components(I2VGEN_XL, empty_model, NO_VALUES)
    for part, shapes in TABLE.items():
        state = getattr(components, part).state_dict()
        loaded = {name: tuple(tensor.shape) for name, tensor in state.items()}
        assert loaded == dict(in_phases(in_memory(name), shape) for name, shape in shapes.items())


def in_phases(name: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Return what `upsampling.use_phase_convolutions` makes of a convolution after an upsampling."""
    if ".upsamplers.0.conv." not in name:
        return name, shape
    return name.replace(".conv.", "."), (shape[1], shape[0], 4, 4) if len(shape) == 4 else shape


@pytest.mark.parametrize("part", FILES)
def test_a_renamed_tensor_is_refused_with_file_and_name(empty_model: Path, part: str) -> None:
    path, last = empty_model / part / FILES[part], max(TABLE[part])
    renamed = {name if name != last else last[:-1] + "z": shape for name, shape in TABLE[part].items()}
    try:
        overwrite_header(path, renamed)
        with pytest.raises(ModelUnavailable) as caught:
            load_components(I2VGEN_XL, empty_model, NO_VALUES)
    finally:
        overwrite_header(path, TABLE[part])
    assert caught.value.code == "weights.missing_tensor"
    assert caught.value.params["path"] == str(path)
    assert caught.value.params["tensor"] == in_memory(last)


def overwrite_header(path: Path, shapes: Shapes) -> None:
    with path.open("r+b") as file:
        file.write(header(shapes))


def test_written_files_are_what_safetensors_writes(tmp_path: Path) -> None:
    write_model(tmp_path / "model", 0, REDUCED)
    for part, shapes in REDUCED.items():
        path = tmp_path / "model" / part / FILES[part]
        tensors = load_file(path)
        assert {name: tensor.shape for name, tensor in tensors.items()} == shapes
        assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float16)}
        assert all(np.isfinite(tensor).all() and tensor.any() for tensor in tensors.values())
        save_file(tensors, tmp_path / "again", metadata={"format": "pt"})
        assert path.read_bytes() == (tmp_path / "again").read_bytes()


def test_values_follow_from_the_seed_alone(tmp_path: Path) -> None:
    def written(name: str, seed: int, table: dict[str, dict[str, tuple[int, ...]]]) -> dict[str, np.ndarray]:
        write_model(tmp_path / name, seed, table)
        return load_file(tmp_path / name / "vae" / FILES["vae"])

    first, fewer = written("first", 3, REDUCED), dict(list(REDUCED["vae"].items())[4:])
    again, other = written("again", 3, {"vae": fewer}), written("other", 4, {"vae": fewer})
    assert all(np.array_equal(first[name], again[name]) for name in fewer)
    assert not any(np.array_equal(other[name], again[name]) for name in fewer if not (again[name] == 1).all())


def test_weights_keep_the_variance_of_their_input(tmp_path: Path) -> None:
    names = ("decoder.conv_in.weight", "decoder.conv_norm_out.bias", "decoder.conv_norm_out.weight")
    write_model(tmp_path / "model", 0, {"vae": {name: TABLE["vae"][name] for name in names}})
    tensors = load_file(tmp_path / "model" / "vae" / FILES["vae"])
    weight, bias, scale = (tensors[name].astype(np.float32) for name in names)
    assert weight.std() * math.sqrt(4 * 3 * 3) == pytest.approx(1, abs=0.02)
    assert bias.std() == pytest.approx(0.02, abs=0.005)
    assert (scale == 1).all()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("the real one")
    with pytest.raises(FileExistsError, match="is not empty"):
        write_model(tmp_path, 0, REDUCED)
    assert [path.name for path in tmp_path.iterdir()] == ["model_index.json"]


def test_a_full_disk_is_reported_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000_000))
    with pytest.raises(OSError, match=r"4\.98 GB are needed, and 3\.00 GB are free"):
        write_model(tmp_path, 0, TABLE)
    assert not list(tmp_path.iterdir())


def test_a_folder_cut_short_is_not_taken_for_written(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    assert not is_written(folder)
    write_model(folder, None, TABLE)
    assert is_written(folder)
    os.truncate(folder / "vae" / FILES["vae"], 1000)
    assert not is_written(folder)


@pytest.fixture(scope="module")
def full_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if sys.platform != "linux":
        pytest.skip("memory is read from /proc")
    if psutil.virtual_memory().available < 14e9:
        pytest.skip("takes 12 GB of memory")
    kept = os.environ.get("I2V_FULL_SIZE_MODEL")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("full") / "i2vgen-xl"
    if not is_written(folder):
        write_model(folder, 0, TABLE)
    yield folder
    if not kept:  # pytest keeps the folders of three runs
        shutil.rmtree(folder)


@pytest.mark.slow
def test_the_full_size_model_loads_and_makes_a_step(
    full_model: Path, record_property: Callable[[str, object], None]
) -> None:
    """In float32, as the engine runs on a CPU; NaN would stop the engine with `decode.nan_float32`."""
    command = [sys.executable, "-m", "scripts.full_size.one_step", str(full_model)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    for name, value in figures.items():
        record_property(name, value)
        print(name, value)
    assert figures["events"] == ["Conditioned", "Denoised"] + ["Decoded"] * 8
    assert figures["shape"] == [8, 256, 256, 3]
    assert figures["spread"] > 1
    assert "decode.nan" not in figures["notices"]
    assert figures["load_over_held"] <= 1.2
    assert max(value for name, value in figures.items() if name.endswith("_peak")) < 16e9


@pytest.mark.slow
def test_each_way_to_take_less_memory_makes_the_plain_step(full_model: Path) -> None:
    """In float32: guidance of 9 and one large step enlarge what another order of summing leaves."""
    command = [sys.executable, "-m", "scripts.full_size.each_option", str(full_model)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    far = json.loads(run.stdout.splitlines()[-1])
    print(run.stdout)
    assert far.pop("frame by frame") <= 1  # of 255
    assert set(far) == {"two passes", "512 tokens at a time", "model offloaded", "all three"}
    assert max(far.values()) < 1e-4
