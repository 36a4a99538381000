# SPDX-License-Identifier: Apache-2.0
"""The miniature BLIP-2: a small ViT, Q-Former and OPT, trained end to end on the world's captions.

Besides the caption loss, every patch learns the noun and the colour of what it shows: a ViT this
small, from scratch, finds the nouns many times faster so.

Shapes: B images, P patches, L tokens, D width.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
    GenerationConfig,
)

from models.miniature.train.batch import Batch, cell_labels, resized, training_batch
from models.miniature.train.init import sincos_positions, tie_queries_and_keys
from models.miniature.train.loop import Losses, Recipe, train
from models.miniature.train.scenes import TRAIN_SEED, SceneArrays, load_scenes
from models.miniature.train.tokenizers import caption_tokenizer
from models.miniature.world.vocabulary import BACKGROUNDS, COLOURS, NOUNS

SIDE, PATCH, WIDTH, QUERIES = 96, 8, 128, 16
SCENES, BATCH = 40_000, 32
RECIPE = Recipe(steps=5_000, lr=1e-3, warmup=300)
REFINEMENT = Recipe(steps=3_000, lr=5e-4, warmup=100)
"""A second, gentler round on the averaged weights of the first."""
_DENSE_ONLY_STEPS = 1_000


class CaptionerTraining(nn.Module):
    """BLIP-2 with the per-patch heads that are dropped after training."""

    def __init__(self, model: Blip2ForConditionalGeneration) -> None:
        super().__init__()
        self.blip2 = model
        self.noun_head = nn.Linear(WIDTH, len(NOUNS) + 1)
        self.colour_head = nn.Linear(WIDTH, len(COLOURS) + 1)
        self.background_head = nn.Linear(WIDTH, len(BACKGROUNDS))

    def dense_losses(self, states_BPD: Tensor, batch: Batch) -> Losses:
        """What each patch shows, and the background from the class token."""
        noun, colour = cell_labels(batch, SIDE // PATCH)
        patches = states_BPD[:, 1:]
        return {
            "noun": F.cross_entropy(self.noun_head(patches).flatten(0, 1), noun.flatten()),
            "colour": F.cross_entropy(self.colour_head(patches).flatten(0, 1), colour.flatten()),
            "background": F.cross_entropy(self.background_head(states_BPD[:, 0]), batch.background_B),
        }


def build_processor(captions: list[str]) -> Blip2Processor:
    """Image processor and tokenizer of the miniature captioner."""
    images = BlipImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return Blip2Processor(images, caption_tokenizer(captions), num_query_tokens=QUERIES)


def build_model(processor: Blip2Processor) -> Blip2ForConditionalGeneration:
    """The untrained model, with what transformers' own initialisation leaves degenerate mended."""
    tokenizer = processor.tokenizer
    special = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = Blip2Config(
        vision_config={
            "hidden_size": WIDTH,
            "intermediate_size": 4 * WIDTH,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": SIDE,
            "patch_size": PATCH,
            "initializer_range": 0.02,
        },
        qformer_config={
            "hidden_size": WIDTH,
            "encoder_hidden_size": WIDTH,
            "intermediate_size": 4 * WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "cross_attention_frequency": 1,
            "vocab_size": len(tokenizer),
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        text_config={
            "model_type": "opt",
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "word_embed_proj_dim": WIDTH,
            "ffn_dim": 4 * WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 96,
            "dropout": 0.0,
            **special,
        },
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = Blip2ForConditionalGeneration(config)
    model.generation_config = GenerationConfig(**special, do_sample=False)
    nn.init.normal_(model.query_tokens, std=0.5)
    embeddings = model.vision_model.embeddings
    embeddings.position_embedding.data[0, 1:] = sincos_positions(SIDE // PATCH, WIDTH) * 0.2
    layers: list[Any] = [*model.vision_model.encoder.layers]
    for layer in layers:
        tie_queries_and_keys(layer.self_attn.qkv.weight)
    return model


def caption_tokens(processor: Blip2Processor, captions: list[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Input ids, attention mask and labels, int64 (B, L): image places, BOS, caption, EOS."""
    tokenizer = processor.tokenizer
    image = [tokenizer.convert_tokens_to_ids("<image>")] * QUERIES + [tokenizer.bos_token_id]
    rows = [
        [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id] for text in captions
    ]
    length = max(map(len, rows))
    pad = tokenizer.pad_token_id
    ids = torch.tensor([image + row + [pad] * (length - len(row)) for row in rows])
    labels = torch.tensor([[-100] * len(image) + row + [-100] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * (len(image) + len(row)) + [0] * (length - len(row)) for row in rows])
    return ids, mask, labels


def train_captioner(run: Path, cache: Path, log: Callable[[str], None] = print) -> Path:
    """Train (or go on training) and save the model and its processor as fp16 in `run/export`."""
    scenes = load_scenes(cache, TRAIN_SEED, SCENES)
    torch.manual_seed(0)
    processor = build_processor(scenes.caption_N)
    training = CaptionerTraining(build_model(processor))
    losses = _step_losses(training, processor, scenes, seed=1, dense_steps=_DENSE_ONLY_STEPS)
    averaged = train(training, losses, RECIPE, run, log)
    losses = _step_losses(averaged, processor, scenes, seed=8, dense_steps=0)
    averaged = train(averaged, losses, REFINEMENT, run / "refinement", log)
    export = run / "export"
    averaged.blip2.half().save_pretrained(export)
    processor.save_pretrained(export)
    return export


def _step_losses(
    training: CaptionerTraining, processor: Blip2Processor, scenes: SceneArrays, seed: int, dense_steps: int
) -> Callable[[int], Losses]:
    def losses(step: int) -> Losses:
        batch = training_batch(scenes, BATCH, seed=seed, step=step)
        pixels = resized(batch.image_BCHW, SIDE) * 2 - 1
        blip2 = training.blip2
        if step < dense_steps:
            return training.dense_losses(blip2.vision_model(pixels).last_hidden_state, batch)
        ids, mask, labels = caption_tokens(processor, batch.caption_B)
        out = blip2(pixel_values=pixels, input_ids=ids, attention_mask=mask, labels=labels)
        dense = training.dense_losses(out.vision_outputs.last_hidden_state, batch)
        return {"caption": out.loss} | {name: 0.3 * loss for name, loss in dense.items()}

    return losses
