"""LoRAs of Wan beside its weights, against diffusers' own loader (peft), and the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from i2v.core.errors import InvalidRequest
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Inputs
from i2v.engines.wan.engine import WanEngine
from i2v.engines.wan.specs import WAN_I2V_A14B, WAN_TI2V_5B
from i2v.engines.wan.stock import load_stock, run_stock
from i2v.weights.loras import DoesNotFit, LoraFile, check_lora, describe, layers_of
from i2v.weights.tensors import Header
from tests.engines.subjects import frames_of
from tests.tiny_wan import tiny_expert, tiny_transformer
from tests.tiny_wan_loras import write_diffusers, write_kohya, write_lightx2v

PLAN = MemoryPlan("cpu", "float32")


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(3)
    folder, expert = tmp_path_factory.mktemp("loras"), tiny_expert()
    paths = {name: folder / f"{name}.safetensors" for name in ("lightx2v", "kohya", "diffusers")}
    write_lightx2v(paths["lightx2v"], expert)
    write_kohya(paths["kohya"], expert, alpha=1.0)
    write_diffusers(paths["diffusers"], expert)
    return paths


def values(engine: WanEngine) -> list[dict[str, torch.Tensor]]:
    experts = engine.components.transformers
    return [{name: each.clone() for name, each in expert.state_dict().items()} for expert in experts]


@pytest.mark.filterwarnings("ignore")  # diffusers and peft warn of what the files have and Wan 2.2 has not
def test_loras_of_all_kinds_in_either_expert_give_diffusers_own_frames(
    a14b_folder: Path, small_clip: Generation, small_inputs: Inputs, loras: dict[str, Path]
) -> None:
    pytest.importorskip("peft", reason="diffusers loads LoRAs by peft, which is not installed")
    stock = load_stock(a14b_folder)
    for name, in_second in (("lightx2v", False), ("kohya", True), ("diffusers", False), ("diffusers", True)):
        stock.load_lora_weights(
            str(loras[name].parent), weight_name=loras[name].name, adapter_name=name,
            load_into_transformer_2=in_second,
        )  # fmt: skip
    stock.transformer.set_adapters(["lightx2v", "diffusers"], [0.8, -0.5])
    stock.transformer_2.set_adapters(["kohya", "diffusers"], [1.3, 0.4])
    engine = WanEngine.load(WAN_I2V_A14B, a14b_folder, PLAN)
    given = (
        LoraFile(loras["lightx2v"], 0.8, strength_2=0.0),
        LoraFile(loras["kohya"], 0.0, strength_2=1.3),
        LoraFile(loras["diffusers"], -0.5, strength_2=0.4),
    )
    plain = frames_of(list(engine.generate(small_clip, small_inputs)))
    _, expected = run_stock(stock, WAN_I2V_A14B, small_clip, small_inputs)
    found = frames_of(list(engine.generate(small_clip, replace(small_inputs, loras=given))))
    assert np.abs(found - expected.astype(int)).max() <= 1
    assert np.abs(found - plain).max() > 5, "they do something"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nothing_is_left_of_them_and_no_weight_is_kept_twice(
    a14b_folder: Path, loras: dict[str, Path], dtype: str
) -> None:
    engine = WanEngine.load(WAN_I2V_A14B, a14b_folder, replace(PLAN, dtype=dtype))  # type: ignore[arg-type]
    plain = values(engine)
    components = engine.components
    large = {
        weight.data_ptr()
        for part in components.transformers
        for weight in part.parameters()
        if weight.ndim == 2
    }
    for strength in (0.7, -1.3):
        components.use_loras(WAN_I2V_A14B, [LoraFile(path, strength) for path in loras.values()])
        assert values(engine)[0].keys() != plain[0].keys()
        there = {weight.data_ptr() for part in components.transformers for weight in part.parameters()}
        assert large <= there, "the weights themselves"
    components.use_loras(WAN_I2V_A14B, ())
    for before, after in zip(plain, values(engine), strict=True):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_lora_of_strength_zero_in_an_expert_is_not_there(a14b_folder: Path, loras: dict[str, Path]) -> None:
    engine = WanEngine.load(WAN_I2V_A14B, a14b_folder, PLAN)
    plain = values(engine)
    engine.components.use_loras(WAN_I2V_A14B, [LoraFile(loras["kohya"], 0.0, strength_2=1.0)])
    first, second = values(engine)
    assert first.keys() == plain[0].keys()
    assert second.keys() != plain[1].keys()


def test_ti2v_5b_takes_its_own_and_refuses_the_experts(
    wan_folder: Path, tmp_path: Path, loras: dict[str, Path]
) -> None:
    torch.manual_seed(4)
    own = tmp_path / "own.safetensors"
    write_kohya(own, tiny_transformer(), alpha=2.0)
    check_lora(WAN_TI2V_5B, wan_folder, own, "own")
    from safetensors.torch import load_file, save_file

    wide = {name: torch.zeros(*tensor.shape[:-1], 5120) if "_q.lora_down" in name else tensor
            for name, tensor in load_file(own).items()}  # fmt: skip
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(InvalidRequest) as caught:
        check_lora(WAN_TI2V_5B, wan_folder, tmp_path / "wide.safetensors", "wide")
    assert caught.value.code == "lora.unfit"
    assert caught.value.params["found"] == "Wan 14B (2.1 or 2.2 A14B)"
    assert {describe(path) for path in loras.values()} == {"Wan"}, "of no published width"


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ("time_embedding.2", "condition_embedder.time_embedder.linear_2.weight"),
        ("text_embedding.0", "condition_embedder.text_embedder.linear_1.weight"),
        ("time_projection.1", "condition_embedder.time_proj.weight"),
        ("head.head", "proj_out.weight"),
        ("blocks.1.ffn.2", "blocks.1.ffn.net.2.weight"),
        ("blocks.0.cross_attn.o", "blocks.0.attn2.to_out.0.weight"),
    ],
)
@pytest.mark.parametrize(
    "form", ["diffusion_model.{}.lora_A.weight", "lora_unet_{}.lora_down.weight", "{}.diff"]
)
def test_wans_own_names_are_found_among_diffusers(own: str, name: str, form: str) -> None:
    weights = {key: tuple(tensor.shape) for key, tensor in tiny_expert().state_dict().items()}
    down = form.format(own.replace(".", "_") if form.startswith("lora_unet_") else own)
    out, given = weights[name]
    shapes = {down: (1, given), down.replace("lora_A", "lora_B").replace("lora_down", "lora_up"): (out, 1)}
    if form.endswith("diff"):
        shapes = {down: (out, given), f"{own}.diff_b": (out,)}
    found = layers_of(Header(shapes, {}), {"transformer": weights})
    assert [layer.weight for layer in found] == [name, name.replace("weight", "bias")][: len(found)]
    with pytest.raises(DoesNotFit):
        layers_of(Header({**shapes, "blocks.7.diff_m": (1, 6, 24)}, {}), {"transformer": weights})
