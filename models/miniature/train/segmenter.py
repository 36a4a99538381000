# SPDX-License-Identifier: Apache-2.0
"""The miniature SAM, trained from scratch on boxes and exact masks.

Shapes: B images, N = 3 places for objects, M masks a prompt (1 or 3), H = W pixels.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SamConfig, SamImageProcessorPil, SamModel, SamProcessor

from models.miniature.train.batch import Batch, training_batch
from models.miniature.train.init import sincos_positions, tie_queries_and_keys
from models.miniature.train.loop import Losses, Recipe, train
from models.miniature.train.scenes import TRAIN_SEED, SceneArrays, load_scenes

SIDE, PATCH, WIDTH, DECODER = 160, 8, 96, 64
SCENES, BATCH = 20_000, 16
RECIPE = Recipe(steps=2_000, lr=1e-3, warmup=150, stop=1_000)
_JITTER = 0.06
"""Boxes are moved by up to this part of their size, as a detector's boxes are."""


def build_processor() -> SamProcessor:
    """Resizes the longest side to the model's, pads, and scales boxes along."""
    images = SamImageProcessorPil(
        size={"longest_edge": SIDE},
        pad_size={"height": SIDE, "width": SIDE},
        mask_size={"longest_edge": SIDE // 2},
        mask_pad_size={"height": SIDE // 2, "width": SIDE // 2},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return SamProcessor(images)


def build_model() -> SamModel:
    """The untrained model, with what transformers' own initialisation leaves degenerate mended."""
    config = SamConfig(
        vision_config={
            "hidden_size": WIDTH,
            "output_channels": DECODER,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "mlp_dim": 3 * WIDTH,
            "image_size": SIDE,
            "patch_size": PATCH,
            "window_size": 10,
            "global_attn_indexes": [1, 3],
            "num_pos_feats": DECODER // 2,
            "initializer_range": 0.02,
        },
        prompt_encoder_config={
            "hidden_size": DECODER,
            "image_size": SIDE,
            "patch_size": PATCH,
            "image_embedding_size": SIDE // PATCH,
            "mask_input_channels": 8,
        },
        mask_decoder_config={
            "hidden_size": DECODER,
            "mlp_dim": 3 * DECODER,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": DECODER,
        },
    )
    model = SamModel(config)
    nn.init.normal_(model.shared_image_embedding.positional_embedding, std=1.0)
    grid = SIDE // PATCH
    positions = sincos_positions(grid, WIDTH).view(1, grid, grid, WIDTH) * 0.2
    assert model.vision_encoder.pos_embed is not None
    model.vision_encoder.pos_embed.data.copy_(positions)
    layers: list[Any] = [*model.vision_encoder.layers]
    for layer in layers:
        tie_queries_and_keys(layer.attn.qkv.weight)
    for parameter in model.mask_decoder.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    return model


def train_segmenter(
    run: Path, cache: Path, recipe: Recipe = RECIPE, log: Callable[[str], None] = print
) -> Path:
    """Train (or go on training); save processor and fp16 model in `run/export`."""
    scenes = load_scenes(cache, TRAIN_SEED, SCENES, SIDE)
    torch.manual_seed(0)
    model = build_model()
    averaged = train(model, _step_losses(model, scenes), recipe, run, log)
    export = run / "export"
    averaged.half().save_pretrained(export)
    build_processor().save_pretrained(export)
    return export


def _step_losses(model: SamModel, scenes: SceneArrays) -> Callable[[int], Losses]:
    def losses(step: int) -> Losses:
        batch = training_batch(scenes, BATCH, seed=6, step=step)
        out = model(
            pixel_values=batch.image_BCHW * 2 - 1,
            input_boxes=_jittered(batch.box_BS4, step) * SIDE,
            multimask_output=step % 3 == 0,
        )
        return mask_losses(out.pred_masks, out.iou_scores, batch)

    return losses


def mask_losses(logits_BNMHW: Tensor, iou_BNM: Tensor, batch: Batch) -> Losses:
    """Cross-entropy and dice of the best of a prompt's masks; the IoU head learns all of them."""
    truth_BNHW = torch.stack([batch.instance_BHW == k + 1 for k in range(batch.box_BS4.shape[1])], dim=1)
    real_BN = torch.arange(truth_BNHW.shape[1]) < batch.count_B[:, None]
    logits = F.interpolate(logits_BNMHW[real_BN], truth_BNHW.shape[-2:], mode="bilinear", align_corners=False)
    truth = truth_BNHW[real_BN][:, None].float().expand_as(logits)
    cross = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((-2, -1))
    p = logits.sigmoid()
    dice = 1 - (2 * (p * truth).sum((-2, -1)) + 1) / (p.sum((-2, -1)) + truth.sum((-2, -1)) + 1)
    best = (5 * cross + dice).argmin(dim=1, keepdim=True)
    hit, either = (logits > 0) & (truth > 0), (logits > 0) | (truth > 0)
    iou = hit.sum((-2, -1)) / either.sum((-2, -1)).clamp(min=1)
    return {
        "cross": 5 * cross.gather(1, best).mean(),
        "dice": dice.gather(1, best).mean(),
        "iou": F.mse_loss(iou_BNM[real_BN], iou),
    }


def _jittered(box_BN4: Tensor, step: int) -> Tensor:
    """Boxes with every side moved a little; a place without an object gets the whole picture."""
    generator = torch.Generator().manual_seed(7_000_000 + step)
    size = (box_BN4[..., 2:] - box_BN4[..., :2]).repeat(1, 1, 2)
    shift = (torch.rand(box_BN4.shape, generator=generator) * 2 - 1) * _JITTER * size
    empty = (size <= 0).any(-1, keepdim=True)
    return torch.where(empty, torch.tensor([0.0, 0, 1, 1]), (box_BN4 + shift).clamp(0, 1))
