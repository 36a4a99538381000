# SPDX-License-Identifier: Apache-2.0
"""Metrics on small random models of the architectures that their full-size weights have."""

import pytest
import torch
from transformers import (
    BitImageProcessorPil,
    Dinov2Config,
    Dinov2Model,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from models.backends.protocols import MissingWeights
from models.metrics.dinov2 import DinoV2
from models.metrics.dreamsim import DreamSim
from models.metrics.siglip_text import SiglipText
from models.miniature import WEIGHTS
from tests.models.metrics.pictured import CAT, mean, others, same, set_of

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(0)
    sizes = {name: SMALL[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    Dinov2Model(Dinov2Config(**sizes, image_size=56, patch_size=14)).save_pretrained(folder)
    edges = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
    BitImageProcessorPil(**edges).save_pretrained(folder)
    return DinoV2(model=str(folder))


@pytest.fixture(scope="module")
def dreamsim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dreamsim")
    torch.manual_seed(0)
    ViTModel(ViTConfig(**SMALL, image_size=64, patch_size=16), add_pooling_layer=False).save_pretrained(
        folder
    )
    ViTImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return DreamSim(model=str(folder))


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("siglip")
    torch.manual_seed(0)
    # Of the world's words, for want of its own vocabulary.
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "clip")
    whole = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, pad_token="<|endoftext|>", eos_token="<|endoftext|>",
        model_max_length=16,
    )  # fmt: skip
    whole.save_pretrained(folder)
    config = SiglipConfig(
        text_config={**SMALL, "vocab_size": len(whole), "max_position_embeddings": 16},
        vision_config={**SMALL, "image_size": 64, "patch_size": 16},
    )
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return SiglipText(model=str(folder))


@pytest.mark.parametrize("name", ["dinov2", "dreamsim"])
def test_the_same_is_more_alike_than_another(request, name):
    measure = request.getfixturevalue(name).load()
    images = set_of(others())
    column = f"{name}_whole_pairs"
    assert mean(measure(same(images)), column) == pytest.approx(1, abs=1e-5)
    assert mean(measure(images), column) < 1 - 1e-4


def test_dreamsim_is_a_correlation(dreamsim):
    """A cosine of embeddings about their means does not change when something is added to all of one."""
    embed, model = dreamsim.embed, dreamsim.embedder()._model
    pixels = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        found = embed(model, pixels)
    assert found.mean(-1) == pytest.approx([0, 0], abs=1e-6)


def test_siglip_gives_each_picture_the_cosine_with_its_prompt(siglip):
    images = set_of([CAT] * 3, ("beach", "snow", "night"))
    measure = siglip.load()
    found = measure(images)
    alone = measure(set_of([CAT], ("beach",)))
    assert found[0]["siglip_t_whole"] == pytest.approx(alone[0]["siglip_t_whole"], abs=1e-5)
    assert all(-1 <= value <= 1 for each in found for value in each.values())


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(MissingWeights, match="nowhere"):
        DinoV2(model=str(tmp_path / "nowhere")).load()
