# SPDX-License-Identifier: Apache-2.0
"""The miniature CLIP: a text encoder for the text-to-image model, and both towers for measuring.

The contrastive loss leaves out pairs that fit by chance ("a cat" is true of many pictures). Besides it
every patch learns what it shows, without which a ViT this small takes many times longer to tell nouns apart.

Shapes: B pictures and prompts, P patches, D width.
"""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

from models.miniature.train.clip_batch import fitting, patch_labels, pictures, pixel_values
from models.miniature.train.init import sincos_positions
from models.miniature.train.layouts import PIXELS, Layout, load_layouts
from models.miniature.train.loop import Losses, Recipe, train
from models.miniature.train.tokenizers import prompt_tokenizer
from models.miniature.world.vocabulary import COLOURS, NOUNS, PATTERNS

WIDTH, PATCH, LENGTH = 128, 8, 24
BATCH = 64
RECIPE = Recipe(steps=6_000, lr=1e-3, warmup=300)
_HEADS = {"noun": len(NOUNS) + 1, "body": len(COLOURS) + 1, "pattern": len(PATTERNS) + 1}


class ClipTraining(nn.Module):
    """CLIP with the per-patch heads that are dropped after training."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip
        self.heads = nn.ModuleDict({name: nn.Linear(WIDTH, size) for name, size in _HEADS.items()})


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


def build_model(tokenizer: CLIPTokenizer) -> CLIPModel:
    """The untrained model."""
    tower = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={
            **tower,
            "num_hidden_layers": 3,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": LENGTH,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "projection_dim": WIDTH,
        },
        vision_config={
            **tower,
            "num_hidden_layers": 4,
            "image_size": PIXELS,
            "patch_size": PATCH,
            "projection_dim": WIDTH,
        },
        projection_dim=WIDTH,
    )
    model = CLIPModel(config)
    positions = sincos_positions(PIXELS // PATCH, WIDTH) * 0.2
    model.vision_model.embeddings.position_embedding.weight.data[1:] = positions
    return model


def train_clip(run: Path, cache: Path, recipe: Recipe = RECIPE, log: Callable[[str], None] = print) -> Path:
    """Train (or go on training); save the fp16 model and its processor in `run/export`."""
    layouts = [*load_layouts(cache).values()]
    torch.manual_seed(0)
    processor = build_processor()
    training = ClipTraining(build_model(processor.tokenizer))
    averaged = train(training, _step_losses(training, processor.tokenizer, layouts), recipe, run, log)
    export = run / "export"
    averaged.clip.half().save_pretrained(export)
    processor.save_pretrained(export)
    return export


def _step_losses(
    training: ClipTraining, tokenizer: CLIPTokenizer, layouts: list[Layout]
) -> Callable[[int], Losses]:
    def losses(step: int) -> Losses:
        batch = pictures(layouts, BATCH, seed=11, step=step)
        tokens = tokenizer([each.prompt.text for each in batch], padding="max_length", return_tensors="pt")
        out = training.clip(**tokens, pixel_values=pixel_values(batch))
        patches_BPD = out.vision_model_output.last_hidden_state[:, 1:]
        labels = patch_labels(batch, PIXELS // PATCH)
        dense = {
            name: 0.3 * F.cross_entropy(head(patches_BPD).flatten(0, 1), labels[name].flatten())
            for name, head in training.heads.items()
        }
        return {"contrast": contrast(out.logits_per_text, fitting(batch)), **dense}

    return losses


def contrast(logits_BB: Tensor, fits_BB: Tensor) -> Tensor:
    """InfoNCE in both directions, without the pairs off the diagonal that fit as well.

    Args:
        logits_BB: prompts by pictures.
        fits_BB: see `clip_batch.fitting`.
    """
    own = torch.eye(len(logits_BB), dtype=torch.bool)
    logits_BB = logits_BB.masked_fill(fits_BB & ~own, float("-inf"))
    target_B = torch.arange(len(logits_BB))
    return (F.cross_entropy(logits_BB, target_B) + F.cross_entropy(logits_BB.T, target_B)) / 2
