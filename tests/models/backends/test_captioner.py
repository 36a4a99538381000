# SPDX-License-Identifier: Apache-2.0
"""What every captioner has to hold, on the miniature; and the full-size architecture with random weights."""

import pytest

from models.backends.blip2 import Blip2
from models.miniature.world import NOUNS, render_scene, sample_scene


@pytest.fixture(scope="module")
def captioner():
    return Blip2(model="miniature:captioner", max_new_tokens=24).load()


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(sample_scene(43, index), 256) for index in range(16)]


def test_captions_name_what_is_there(captioner, scenes):
    right = wanted = 0
    for scene, caption in zip(scenes, captioner.caption([s.image for s in scenes]), strict=True):
        there = {subject.identity.noun for subject in scene.subjects}
        right += len(there & set(caption.replace(",", "").split()) & set(NOUNS))
        wanted += len(there)
    assert right >= 0.8 * wanted


def test_a_caption_does_not_depend_on_the_batch(captioner, scenes):
    images = [s.image for s in scenes[:6]]
    images[2] = images[2].resize((90, 200))
    assert captioner.caption(images) == [captioner.caption([image])[0] for image in images]


def test_no_images_no_captions(captioner):
    assert captioner.caption([]) == []


def test_the_full_architecture_runs_through_the_same_code(tmp_path, scenes):
    """ViT-g, Q-Former and OPT-2.7B at their widths, two layers each of ViT and OPT, random weights."""
    import torch
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, BlipImageProcessorPil

    from models.miniature.train.tokenizers import caption_tokenizer

    torch.manual_seed(0)
    processor = Blip2Processor(
        BlipImageProcessorPil(size={"height": 224, "width": 224}),
        caption_tokenizer(["a cat"]),
        num_query_tokens=32,
    )
    text = {
        "model_type": "opt",
        "hidden_size": 2560,
        "word_embed_proj_dim": 2560,
        "ffn_dim": 10240,
        "num_hidden_layers": 2,
        "num_attention_heads": 32,
    }
    ids = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1, "vocab_size": len(processor.tokenizer)}
    config = Blip2Config(
        vision_config={"num_hidden_layers": 2, "initializer_range": 0.02},
        qformer_config={"num_hidden_layers": 2, "vocab_size": len(processor.tokenizer)},
        text_config=text | ids,
        image_token_index=processor.tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = Blip2ForConditionalGeneration(config)
    torch.nn.init.normal_(model.query_tokens)
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    captions = (
        Blip2(model=str(tmp_path), max_new_tokens=4, dtype="float32").load().caption([scenes[0].image] * 2)
    )
    assert captions[0] == captions[1]
