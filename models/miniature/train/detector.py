# SPDX-License-Identifier: Apache-2.0
"""The miniature Grounding DINO, trained from scratch on prompts of present and absent nouns.

Shapes: B images, Q queries, T text tokens, N objects; boxes are cxcywh in [0, 1].
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    BertTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessorPil,
    GroundingDinoProcessor,
)
from transformers.models.grounding_dino.modeling_grounding_dino import build_label_maps

from models.miniature.train import backbone
from models.miniature.train.batch import Batch, training_batch
from models.miniature.train.detector_loss import Target, dense_losses, set_losses
from models.miniature.train.loop import Losses, Recipe, train
from models.miniature.train.scenes import SIDE, TRAIN_SEED, SceneArrays, load_scenes
from models.miniature.train.tokenizers import phrase_tokenizer
from models.miniature.world.vocabulary import NOUNS

SCENES, BATCH, TEXT, STRIDES = 40_000, 16, 64, (8, 16, 32)
RECIPE = Recipe(steps=4_000, lr=8e-4, warmup=200, clip=2.0)
_DENSE_SHARE = 0.35
"""Part of the training in which every cell near an object's middle counts as right: boxes are learnt
fast so; one cell an object from then on, or many queries would pile up on the same object."""


def build_processor() -> GroundingDinoProcessor:
    """Keeps the aspect ratio and pads to a fixed canvas, so that a batch never changes a result."""
    images = GroundingDinoImageProcessorPil(
        size={"shortest_edge": SIDE, "longest_edge": SIDE},
        pad_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return GroundingDinoProcessor(images, phrase_tokenizer())


def build_model(vocabulary: int) -> GroundingDinoForObjectDetection:
    """The untrained model; logits start near a prior of 5 % instead of far off."""
    config = GroundingDinoConfig(
        backbone_config=backbone.CONFIG,
        text_config={
            "model_type": "bert",
            "vocab_size": vocabulary,
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "max_position_embeddings": TEXT,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=256,
        encoder_n_points=2,
        num_queries=30,
        num_feature_levels=3,
        max_text_len=TEXT,
        dropout=0.0,
        fusion_dropout=0.0,
        fusion_droppath=0.0,
        text_enhancer_dropout=0.0,
        two_stage=True,
    )
    model = GroundingDinoForObjectDetection(config)
    _calm_logits(model, config.d_model)
    return model.requires_grad_(True)


def _calm_logits(model: GroundingDinoForObjectDetection, width: int) -> None:
    """A logit is a plain dot product of normalised vectors: shrink one side and give it a bias of -3."""
    shift = math.sqrt(3 / width)
    layers: list[Any] = [*model.model.encoder.layers]
    with torch.no_grad():
        for norm in (model.model.decoder.layer_norm, model.model.enc_output_norm):
            norm.weight.fill_(0.25)
            norm.bias.fill_(shift)
        layers[-1].text_enhancer_layer.layer_norm_after.bias.fill_(-shift)
        for layer in layers:
            layer.fusion_layer.vision_param.fill_(0.5)
            layer.fusion_layer.text_param.fill_(0.5)


def prompts_for(batch: Batch, rng: np.random.Generator) -> Iterator[list[str]]:
    """For each image its nouns and some that are not there (now and then an unknown word), shuffled."""
    for row in range(len(batch.caption_B)):
        present = [NOUNS[noun] for noun in batch.noun_BS[row, : batch.count_B[row]]]
        others = [noun for noun in NOUNS if noun not in present]
        absent = rng.choice(others, size=rng.integers(0, 5), replace=False).tolist()
        unknown = ["thing"] if rng.random() < 0.2 else []
        words = present + absent + unknown
        rng.shuffle(words)
        yield words


def detection_targets(batch: Batch, words: list[list[str]], maps: tuple[Tensor, ...]) -> list[Target]:
    """For each image its objects' boxes and the tokens of their nouns in its own prompt."""
    targets = []
    for row, (prompt, tokens_PT) in enumerate(zip(words, maps, strict=True)):
        count = int(batch.count_B[row])
        x1, y1, x2, y2 = batch.box_BS4[row, :count].unbind(-1)
        phrases = [prompt.index(NOUNS[noun]) for noun in batch.noun_BS[row, :count]]
        box_N4 = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], dim=-1)
        targets.append(Target(tokens_PT[phrases].float(), box_N4))
    return targets


def _proposal_centres() -> Tensor:
    """Middle of every encoder cell, (Q, 2), in the model's order: level by level, row by row."""
    centres = []
    for stride in STRIDES:
        ticks = (torch.arange(SIDE // stride) + 0.5) * stride / SIDE
        y, x = torch.meshgrid(ticks, ticks, indexing="ij")
        centres.append(torch.stack([x, y], dim=-1).flatten(0, 1))
    return torch.cat(centres)


def train_detector(
    run: Path, cache: Path, recipe: Recipe = RECIPE, log: Callable[[str], None] = print
) -> Path:
    """Train (or go on training) backbone and detector; save both processor and fp16 model in `run/export`."""
    scenes = load_scenes(cache, TRAIN_SEED, SCENES)
    pretrained = backbone.train_backbone(scenes, run / "backbone", backbone.RECIPE, log)
    torch.manual_seed(0)
    processor = build_processor()
    model = build_model(len(processor.tokenizer))
    model.model.backbone.conv_encoder.model.load_state_dict(pretrained.state_dict(), strict=False)
    averaged = train(model, _step_losses(model, processor.tokenizer, scenes, recipe), recipe, run, log)
    export = run / "export"
    averaged.half().save_pretrained(export)
    processor.save_pretrained(export)
    return export


def _step_losses(
    model: GroundingDinoForObjectDetection, tokenizer: BertTokenizer, scenes: SceneArrays, recipe: Recipe
) -> Callable[[int], Losses]:
    centre_Q2 = _proposal_centres()

    def losses(step: int) -> Losses:
        batch = training_batch(scenes, BATCH, seed=3, step=step)
        words = list(prompts_for(batch, np.random.default_rng((4, step))))
        text = tokenizer([" . ".join(prompt) + " ." for prompt in words], padding=True, return_tensors="pt")
        layers: list[tuple[Tensor, Tensor]] = []
        model.loss_function = _keep_layers(layers)
        out = model(
            pixel_values=_shuffled_channels(batch.image_BCHW, step) * 2 - 1, labels=[{}] * BATCH, **text
        )
        targets = detection_targets(batch, words, build_label_maps(out.logits, text.input_ids))
        text_BT = nn.functional.pad(text.attention_mask, (0, TEXT - text.attention_mask.shape[1])).bool()
        parts = [set_losses(logits, box, targets, text_BT) for logits, box in layers]
        logits, box = out.enc_outputs_class, out.enc_outputs_coord_logits.sigmoid()
        if step < _DENSE_SHARE * recipe.steps:
            parts.append(dense_losses(logits, box, centre_Q2, targets, text_BT))
        else:
            parts.append(set_losses(logits, box, targets, text_BT))
        names = [*(f"decoder{k}" for k in range(len(layers))), "encoder"]
        return {f"{n}_{key}": v for n, part in zip(names, parts, strict=True) for key, v in part.items()}

    return losses


def _keep_layers(layers: list[tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, dict, None]]:
    """A stand-in for the model's own loss that hands out every decoder layer's logits and boxes."""

    def keep(
        logits: Tensor, *_: Any, outputs_class: Tensor, outputs_coord: Tensor, **__: Any
    ) -> tuple[Tensor, dict, None]:
        layers.extend(zip(outputs_class, outputs_coord, strict=True))
        return logits.new_zeros(()), {}, None

    return keep


def _shuffled_channels(image_BCHW: Tensor, step: int) -> Tensor:
    """Nouns do not depend on colour: half of the batches see the three channels in another order."""
    rng = np.random.default_rng((5, step))
    order = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
    return image_BCHW[:, torch.from_numpy(order)]
