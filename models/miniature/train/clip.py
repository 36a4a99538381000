# SPDX-License-Identifier: Apache-2.0
"""The miniature CLIP: a text encoder for the text-to-image model, and both towers for measuring.

The contrastive loss leaves out pairs that fit by chance ("a cat" is true of many pictures). Besides it
every patch learns what it shows, without which a ViT this small takes many times longer to tell nouns apart.

Shapes: B pictures and prompts, P patches, D width.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

from models.miniature.train.clip_batch import fitting, patch_labels, pictures, pixel_values
from models.miniature.train.feed import Feed, Machine, Tensors
from models.miniature.train.init import sincos_positions
from models.miniature.train.layouts import PIXELS, Layout, load_layouts
from models.miniature.train.loop import Losses, Recipe, train
from models.miniature.train.tokenizers import prompt_tokenizer
from models.miniature.world.vocabulary import COLOURS, NOUNS, PATTERNS

WIDTH, PATCH, LENGTH = 128, 8, 24
RECIPE = Recipe(steps=6_000, lr=1e-3, warmup=300, batch=64)
GPU_RECIPE = replace(RECIPE, steps=3_000, batch=128)
_HEADS = {"noun": len(NOUNS) + 1, "body": len(COLOURS) + 1, "pattern": len(PATTERNS) + 1}


class ClipTraining(nn.Module):
    """CLIP with the per-patch heads that are dropped after training."""

    def __init__(self, clip: CLIPModel, width: int) -> None:
        super().__init__()
        self.clip = clip
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in _HEADS.items()})


def build_processor() -> CLIPProcessor:
    """Image processor and tokenizer."""
    images = CLIPImageProcessorPil(
        size={"shortest_edge": PIXELS},
        crop_size={"height": PIXELS, "width": PIXELS},
        resample=2,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return CLIPProcessor(images, prompt_tokenizer(LENGTH))


def build_model(tokenizer: CLIPTokenizer, width: int = WIDTH) -> CLIPModel:
    """The untrained model."""
    tower = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={
            **tower,
            "num_hidden_layers": 3,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": LENGTH,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "projection_dim": width,
        },
        vision_config={
            **tower,
            "num_hidden_layers": 4,
            "image_size": PIXELS,
            "patch_size": PATCH,
            "projection_dim": width,
        },
        projection_dim=width,
    )
    model = CLIPModel(config)
    positions = sincos_positions(PIXELS // PATCH, width) * 0.2
    model.vision_model.embeddings.position_embedding.weight.data[1:] = positions
    return model


def train_clip(
    run: Path,
    cache: Path,
    recipe: Recipe,
    log: Callable[[str], None],
    machine: Machine,
    width: int = WIDTH,
    seed: int = 0,
) -> Path:
    """Train (or go on training); save the fp16 model and its processor in `run/export`."""
    layouts = [*load_layouts(cache).values()]
    torch.manual_seed(seed)
    processor = build_processor()
    training = ClipTraining(build_model(processor.tokenizer, width), width).to(machine.device)
    drawn = partial(draw, processor.tokenizer, layouts, recipe.batch)
    with closing(Feed(drawn, recipe.steps, machine)) as feed:
        averaged = train(training, _step_losses(training, feed), recipe, run, log).cpu()
    export = run / "export"
    averaged.clip.half().save_pretrained(export)
    processor.save_pretrained(export)
    return export


def _step_losses(training: ClipTraining, feed: Feed) -> Callable[[int], Losses]:
    def losses(step: int) -> Losses:
        batch = feed(step)
        out = training.clip(input_ids=batch["tokens"], pixel_values=batch["pixels"])
        patches_BPD = out.vision_model_output.last_hidden_state[:, 1:]
        dense = {
            name: 0.3 * F.cross_entropy(head(patches_BPD).flatten(0, 1), batch[name].flatten())
            for name, head in training.heads.items()
        }
        return {"contrast": contrast(out.logits_per_text, batch["fits"]), **dense}

    return losses


def draw(tokenizer: CLIPTokenizer, layouts: list[Layout], size: int, step: int) -> Tensors:
    """Batch number `step`: `pixels`, `tokens`, which of them `fits` which, and the patches' labels."""
    batch = pictures(layouts, size, seed=11, step=step)
    texts = [each.prompt.text for each in batch]
    return {
        "pixels": pixel_values(batch),
        "tokens": tokenizer(texts, padding="max_length", return_tensors="pt").input_ids,
        "fits": fitting(batch),
        **patch_labels(batch, PIXELS // PATCH),
    }


def contrast(logits_BB: Tensor, fits_BB: Tensor) -> Tensor:
    """InfoNCE in both directions, without the pairs off the diagonal that fit as well.

    Args:
        logits_BB: prompts by pictures.
        fits_BB: see `clip_batch.fitting`.
    """
    own = torch.eye(len(logits_BB), dtype=torch.bool, device=logits_BB.device)
    logits_BB = logits_BB.masked_fill(fits_BB & ~own, float("-inf"))
    target_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return (F.cross_entropy(logits_BB, target_B) + F.cross_entropy(logits_BB.T, target_B)) / 2
