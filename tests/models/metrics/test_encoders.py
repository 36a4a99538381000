# SPDX-License-Identifier: Apache-2.0
"""Metrics on small random models of the architectures that their full-size weights have."""

from dataclasses import replace

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
from tests.models.metrics.pictured import CAT, mean, noise, noisier, others, rendered, same, set_of

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


@pytest.mark.parametrize("name", ["dinov2", "dreamsim"])
def test_the_order_of_pictures_does_not_matter(request, name):
    measure = request.getfixturevalue(name).load()
    images = set_of(others(), references=[rendered(CAT, "street", 9)])
    turned = replace(images, pictures=images.pictures[::-1], prompts=images.prompts[::-1])
    for one, other in zip(measure(images), measure(turned)[::-1], strict=True):
        assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("name", ["dinov2", "dreamsim"])
def test_the_more_noise_is_in_a_picture_the_less_it_is_alike(request, name):
    measure, images = request.getfixturevalue(name).load(), set_of([CAT] * 2, ("snow", "snow"))
    found = [mean(measure(noisier(images, share)), f"{name}_whole_pairs") for share in (0, 0.1, 0.3, 0.6)]
    assert found[0] == pytest.approx(1, abs=1e-5)
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.999


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


def test_siglip_of_prompts_that_are_shuffled_goes_with_the_prompts(siglip):
    """Pictures that are all the same: what differs is of the prompts alone."""
    images = same(set_of([CAT] * 3, ("beach", "snow", "night")))
    measure = siglip.load()
    turned = replace(images, prompts=images.prompts[::-1])
    one = [each["siglip_t_whole"] for each in measure(images)]
    other = [each["siglip_t_whole"] for each in measure(turned)]
    assert one == pytest.approx(other[::-1], abs=1e-5)
    assert len({round(value, 4) for value in one}) == 3


def test_siglip_is_what_the_model_says_of_padded_prompts(siglip):
    """Neither scaled nor shifted, and without a mask: the model was trained to read its padding."""
    images = set_of([CAT], ("beach",))
    value = siglip.load()(images)[0]["siglip_t_whole"]
    model, processor = (
        SiglipModel.from_pretrained(siglip.model),
        SiglipImageProcessorPil.from_pretrained(siglip.model),
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(siglip.model)
    text = tokenizer([*images.prompts], padding="max_length", max_length=16, return_tensors="pt").input_ids
    pixels = processor([images.pictures[0].image], return_tensors="pt").pixel_values
    with torch.inference_mode():
        found = model.eval()(input_ids=text, pixel_values=pixels)
    cosine = torch.nn.functional.cosine_similarity(found.text_embeds, found.image_embeds)
    assert value == pytest.approx(float(cosine), abs=1e-4)


def test_siglip_reads_noise_as_another_picture(siglip):
    images = set_of([CAT] * 3, ("beach", "snow", "night"))
    found, nothing = siglip.load()(images), siglip.load()(noise(images))
    assert found[0]["siglip_t_whole"] != pytest.approx(nothing[0]["siglip_t_whole"], abs=1e-3)


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(MissingWeights, match="nowhere"):
        DinoV2(model=str(tmp_path / "nowhere")).load()
