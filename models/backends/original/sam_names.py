# SPDX-License-Identifier: Apache-2.0
"""SAM's weights: the authors' names and transformers'."""

from __future__ import annotations

from models.backends.original.renamed import Rule

_BLOCK, _HF_BLOCK = r"image_encoder\.blocks\.(\d+)\.", r"vision_encoder.layers.\1"
_LAYER, _HF_LAYER = r"mask_decoder\.transformer\.layers\.(\d+)\.", r"mask_decoder.transformer.layers.\1"
_HYPER = "output_hypernetworks_mlps"


def sam_rules(score_depth: int, hyper_depth: int = 3) -> tuple[Rule, ...]:
    """The table for heads of these many layers, of which transformers calls the first and last otherwise."""
    heads = [
        *_head(r"mask_decoder\.iou_prediction_head", "mask_decoder.iou_prediction_head", score_depth),
        *_head(rf"mask_decoder\.{_HYPER}\.(\d+)", rf"mask_decoder.{_HYPER}.\1", hyper_depth),
    ]
    return (*heads, *_RULES)


def _head(pattern: str, name: str, depth: int) -> list[Rule]:
    called = ["proj_in", *(f"layers.{k}" for k in range(depth - 2)), "proj_out"]
    last = r"\2" if "(" in pattern else r"\1"
    return [Rule(rf"{pattern}\.layers\.{k}\.(\w+)", f"{name}.{each}.{last}") for k, each in enumerate(called)]


_RULES = (
    Rule(r"image_encoder\.pos_embed", "vision_encoder.pos_embed"),
    Rule(r"image_encoder\.patch_embed\.proj\.(\w+)", r"vision_encoder.patch_embed.projection.\1"),
    Rule(_BLOCK + r"norm([12])\.(\w+)", _HF_BLOCK + r".layer_norm\2.\3"),
    Rule(_BLOCK + r"((?:attn|mlp)\..+)", _HF_BLOCK + r".\2"),
    Rule(r"image_encoder\.neck\.0\.(\w+)", r"vision_encoder.neck.conv1.\1"),
    Rule(r"image_encoder\.neck\.1\.(\w+)", r"vision_encoder.neck.layer_norm1.\1"),
    Rule(r"image_encoder\.neck\.2\.(\w+)", r"vision_encoder.neck.conv2.\1"),
    Rule(r"image_encoder\.neck\.3\.(\w+)", r"vision_encoder.neck.layer_norm2.\1"),
    Rule(
        r"prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix",
        "shared_image_embedding.positional_embedding",
    ),
    Rule(r"prompt_encoder\.point_embeddings\.(\d+)\.weight", r"prompt_encoder.point_embed.\1.weight"),
    Rule(r"prompt_encoder\.(not_a_point_embed|no_mask_embed)\.weight", r"prompt_encoder.\1.weight"),
    Rule(r"prompt_encoder\.mask_downscaling\.0\.(\w+)", r"prompt_encoder.mask_embed.conv1.\1"),
    Rule(r"prompt_encoder\.mask_downscaling\.1\.(\w+)", r"prompt_encoder.mask_embed.layer_norm1.\1"),
    Rule(r"prompt_encoder\.mask_downscaling\.3\.(\w+)", r"prompt_encoder.mask_embed.conv2.\1"),
    Rule(r"prompt_encoder\.mask_downscaling\.4\.(\w+)", r"prompt_encoder.mask_embed.layer_norm2.\1"),
    Rule(r"prompt_encoder\.mask_downscaling\.6\.(\w+)", r"prompt_encoder.mask_embed.conv3.\1"),
    Rule(r"mask_decoder\.(iou_token|mask_tokens)\.weight", r"mask_decoder.\1.weight"),
    Rule(_LAYER + r"norm([1-4])\.(\w+)", _HF_LAYER + r".layer_norm\2.\3"),
    Rule(_LAYER + r"((?:self_attn|cross_attn_\w+|mlp)\..+)", _HF_LAYER + r".\2"),
    Rule(
        r"mask_decoder\.transformer\.norm_final_attn\.(\w+)",
        r"mask_decoder.transformer.layer_norm_final_attn.\1",
    ),
    Rule(r"mask_decoder\.(transformer\.final_attn_token_to_image\..+)", r"mask_decoder.\1"),
    Rule(r"mask_decoder\.output_upscaling\.0\.(\w+)", r"mask_decoder.upscale_conv1.\1"),
    Rule(r"mask_decoder\.output_upscaling\.1\.(\w+)", r"mask_decoder.upscale_layer_norm.\1"),
    Rule(r"mask_decoder\.output_upscaling\.3\.(\w+)", r"mask_decoder.upscale_conv2.\1"),
)
SAM_DROPPED = r"pixel_(mean|std)"
SAM_SHARED = r"prompt_encoder\.shared_embedding\.positional_embedding"
"""The same tensor as `shared_image_embedding.positional_embedding`."""
