# SPDX-License-Identifier: Apache-2.0
"""The sizes of a SAM, read from its weights (Kirillov et al. 2023, appendix A)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.backends.original.checkpoint import Weights, count_of, size_of
from models.backends.protocols import MissingWeights

if TYPE_CHECKING:
    from transformers import SamConfig

_IMAGE, _PROMPT, _MASK = "image_encoder.", "prompt_encoder.", "mask_decoder."
HEADS = 8
"""Of the mask decoder's attention in all published models; weights do not tell."""


@dataclass(frozen=True, slots=True)
class SamLayout:
    """Of all parts."""

    width: int
    depth: int
    heads: int
    inner: int
    patch: int
    grid: int
    """Patches of a side."""
    window: int
    """Patches of a side of windowed attention; 0 where none is windowed."""
    everywhere: tuple[int, ...]
    """Blocks that see the whole picture."""
    out: int
    mask_channels: int
    decoder_depth: int
    decoder_inner: int
    decoder_heads: int
    masks: int
    """Of a prompt, beside the single one."""
    score_depth: int
    score_width: int

    @property
    def side(self) -> int:
        """Pixels of the square that pictures are put into."""
        return self.patch * self.grid


def sam_layout(weights: Weights, decoder_heads: int = HEADS) -> SamLayout:
    """The sizes that a checkpoint's tensors have.

    Args:
        weights: by the authors' names.
        decoder_heads: of the mask decoder.

    Raises:
        MissingWeights: it is of another model.
    """
    if "transformer.level_embed" in weights:
        raise MissingWeights("it is a checkpoint of Grounding DINO, which the backend groundingdino_py runs")
    width = size_of(weights, f"{_IMAGE}patch_embed.proj.weight")
    head = size_of(weights, f"{_IMAGE}blocks.0.attn.rel_pos_h", 1)
    out = size_of(weights, f"{_IMAGE}neck.0.weight")
    if width % head:
        raise MissingWeights(f"its attention is {width} wide, in heads of {head}; it is of another model")
    if out // 2 % decoder_heads:
        raise MissingWeights(
            f"decoder_heads is {decoder_heads}, into which a width of {out // 2} cannot be divided; it is 8 "
            "in all published models"
        )
    grid = size_of(weights, f"{_IMAGE}pos_embed", 1)
    depth = count_of(weights, f"{_IMAGE}blocks.")
    sides = [(size_of(weights, f"{_IMAGE}blocks.{k}.attn.rel_pos_h") + 1) // 2 for k in range(depth)]
    decoder = f"{_MASK}transformer.layers."
    return SamLayout(
        width=width,
        depth=depth,
        heads=width // head,
        inner=size_of(weights, f"{_IMAGE}blocks.0.mlp.lin1.weight"),
        patch=size_of(weights, f"{_IMAGE}patch_embed.proj.weight", 2),
        grid=grid,
        window=min((side for side in sides if side != grid), default=0),
        everywhere=tuple(k for k, side in enumerate(sides) if side == grid),
        out=out,
        mask_channels=size_of(weights, f"{_PROMPT}mask_downscaling.3.weight"),
        decoder_depth=count_of(weights, decoder),
        decoder_inner=size_of(weights, f"{decoder}0.mlp.lin1.weight"),
        decoder_heads=decoder_heads,
        masks=size_of(weights, f"{_MASK}mask_tokens.weight") - 1,
        score_depth=count_of(weights, f"{_MASK}iou_prediction_head.layers."),
        score_width=size_of(weights, f"{_MASK}iou_prediction_head.layers.0.weight"),
    )


def sam_config(layout: SamLayout) -> SamConfig:
    """The same for transformers."""
    from transformers import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig

    vision = SamVisionConfig(
        hidden_size=layout.width,
        output_channels=layout.out,
        num_hidden_layers=layout.depth,
        num_attention_heads=layout.heads,
        image_size=layout.side,
        patch_size=layout.patch,
        mlp_dim=layout.inner,
        window_size=layout.window,
        global_attn_indexes=[*layout.everywhere],
        num_pos_feats=layout.out // 2,
    )
    prompt = SamPromptEncoderConfig(
        hidden_size=layout.out,
        image_size=layout.side,
        patch_size=layout.patch,
        mask_input_channels=layout.mask_channels,
    )
    decoder = SamMaskDecoderConfig(
        hidden_size=layout.out,
        mlp_dim=layout.decoder_inner,
        num_hidden_layers=layout.decoder_depth,
        num_attention_heads=layout.decoder_heads,
        num_multimask_outputs=layout.masks,
        iou_head_depth=layout.score_depth,
        iou_head_hidden_dim=layout.score_width,
    )
    return SamConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config=prompt.to_dict(),
        mask_decoder_config=decoder.to_dict(),
    )
