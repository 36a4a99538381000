# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO's weights: the authors' names and transformers'."""

from __future__ import annotations

from models.backends.original.renamed import Rule

_SWIN = "model.backbone.conv_encoder.model.swin"
_BLOCK = r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\."
_HF_BLOCK = rf"{_SWIN}.encoder.layers.\1.blocks.\2"
_FUSION, _HF_FUSION = r"transformer\.encoder\.fusion_layers\.(\d+)\.", r"model.encoder.layers.\1.fusion_layer"
_TEXT, _HF_TEXT = (
    r"transformer\.encoder\.text_layers\.(\d+)\.",
    r"model.encoder.layers.\1.text_enhancer_layer",
)
_IMAGE, _HF_IMAGE = r"transformer\.encoder\.layers\.(\d+)\.", r"model.encoder.layers.\1.deformable_layer"
_DECODER, _HF_DECODER = r"transformer\.decoder\.layers\.(\d+)\.", r"model.decoder.layers.\1"
_QKV = ("query", "key", "value")

_SWIN_RULES = (
    Rule(r"backbone\.0\.patch_embed\.proj\.(\w+)", rf"{_SWIN}.embeddings.patch_embeddings.projection.\1"),
    Rule(r"backbone\.0\.patch_embed\.norm\.(\w+)", rf"{_SWIN}.embeddings.norm.\1"),
    Rule(_BLOCK + r"attn\.qkv\.(\w+)", _HF_BLOCK + r".attention.{}_proj.\3", ("q", "k", "v")),
    Rule(_BLOCK + r"attn\.proj\.(\w+)", _HF_BLOCK + r".attention.o_proj.\3"),
    Rule(
        _BLOCK + r"attn\.(relative_position_bias_table)",
        _HF_BLOCK + r".attention.relative_position_bias.\3",
    ),
    Rule(_BLOCK + r"norm1\.(\w+)", _HF_BLOCK + r".layernorm_before.\3"),
    Rule(_BLOCK + r"norm2\.(\w+)", _HF_BLOCK + r".layernorm_after.\3"),
    Rule(_BLOCK + r"(mlp\.fc[12]\.\w+)", _HF_BLOCK + r".\3"),
    Rule(r"backbone\.0\.layers\.(\d+\.downsample\.\w+\.\w+)", rf"{_SWIN}.encoder.layers.\1"),
    *(
        Rule(
            rf"backbone\.0\.norm{stage}\.(\w+)",
            rf"model.backbone.conv_encoder.model.hidden_states_norms.stage{stage + 1}.\1",
        )
        for stage in range(4)
    ),
)

_FUSION_RULES = (
    Rule(_FUSION + "gamma_v", _HF_FUSION + ".vision_param"),
    Rule(_FUSION + "gamma_l", _HF_FUSION + ".text_param"),
    Rule(_FUSION + r"layer_norm_v\.(\w+)", _HF_FUSION + r".layer_norm_vision.\2"),
    Rule(_FUSION + r"layer_norm_l\.(\w+)", _HF_FUSION + r".layer_norm_text.\2"),
    *(
        Rule(_FUSION + rf"attn\.{before}v_proj\.(\w+)", _HF_FUSION + rf".attn.{before}vision_proj.\2")
        for before in ("", "values_", "out_")
    ),
    *(
        Rule(_FUSION + rf"attn\.{before}l_proj\.(\w+)", _HF_FUSION + rf".attn.{before}text_proj.\2")
        for before in ("", "values_", "out_")
    ),
)

_ENCODER_RULES = (
    Rule(_TEXT + r"self_attn\.in_proj_(\w+)", _HF_TEXT + r".self_attn.{}.\2", _QKV),
    Rule(_TEXT + r"(self_attn\.out_proj\.\w+)", _HF_TEXT + r".\2"),
    Rule(_TEXT + r"linear([12]\.\w+)", _HF_TEXT + r".fc\2"),
    Rule(_TEXT + r"norm1\.(\w+)", _HF_TEXT + r".layer_norm_before.\2"),
    Rule(_TEXT + r"norm2\.(\w+)", _HF_TEXT + r".layer_norm_after.\2"),
    Rule(_IMAGE + r"(self_attn\.\w+\.\w+)", _HF_IMAGE + r".\2"),
    Rule(_IMAGE + r"linear([12]\.\w+)", _HF_IMAGE + r".fc\2"),
    Rule(_IMAGE + r"norm1\.(\w+)", _HF_IMAGE + r".self_attn_layer_norm.\2"),
    Rule(_IMAGE + r"norm2\.(\w+)", _HF_IMAGE + r".final_layer_norm.\2"),
)

_DECODER_RULES = (
    Rule(_DECODER + r"self_attn\.in_proj_(\w+)", _HF_DECODER + r".self_attn.{}.\2", _QKV),
    Rule(_DECODER + r"(self_attn\.out_proj\.\w+)", _HF_DECODER + r".\2"),
    Rule(_DECODER + r"ca_text\.in_proj_(\w+)", _HF_DECODER + r".encoder_attn_text.{}.\2", _QKV),
    Rule(_DECODER + r"ca_text\.(out_proj\.\w+)", _HF_DECODER + r".encoder_attn_text.\2"),
    Rule(_DECODER + r"catext_norm\.(\w+)", _HF_DECODER + r".encoder_attn_text_layer_norm.\2"),
    Rule(_DECODER + r"cross_attn\.(\w+\.\w+)", _HF_DECODER + r".encoder_attn.\2"),
    Rule(_DECODER + r"norm1\.(\w+)", _HF_DECODER + r".encoder_attn_layer_norm.\2"),
    Rule(_DECODER + r"norm2\.(\w+)", _HF_DECODER + r".self_attn_layer_norm.\2"),
    Rule(_DECODER + r"norm3\.(\w+)", _HF_DECODER + r".final_layer_norm.\2"),
    Rule(_DECODER + r"linear([12]\.\w+)", _HF_DECODER + r".fc\2"),
    Rule(r"transformer\.decoder\.norm\.(\w+)", r"model.decoder.layer_norm.\1"),
    Rule(r"transformer\.decoder\.ref_point_head\.(.+)", r"model.decoder.reference_points_head.\1"),
    Rule(r"transformer\.decoder\.(bbox_embed\..+)", r"model.decoder.\1"),
)

DINO_RULES = (
    *_SWIN_RULES,
    *_FUSION_RULES,
    *_ENCODER_RULES,
    *_DECODER_RULES,
    Rule(r"input_proj\.(.+)", r"model.input_proj_vision.\1"),
    Rule(r"bert\.((?:embeddings|encoder)\..+)", r"model.text_backbone.\1"),
    Rule(r"feat_map\.(\w+)", r"model.text_projection.\1"),
    Rule(r"transformer\.level_embed", "model.level_embed"),
    Rule(r"transformer\.tgt_embed\.weight", "model.query_position_embeddings.weight"),
    Rule(r"transformer\.(enc_output(?:_norm)?\.\w+)", r"model.\1"),
    Rule(r"transformer\.enc_out_bbox_embed\.(.+)", r"model.encoder_output_bbox_embed.\1"),
    Rule(r"(bbox_embed\..+)", r"\1"),
)
DINO_DROPPED = (
    r"label_enc\..+|bert\.pooler\..+|bert\.embeddings\.position_ids|.*\.relative_position_index|.*\.attn_mask"
)
"""Buffers, and what is for training alone."""
DINO_UNUSED = r"model\.backbone\.conv_encoder\.model\.swin\.layernorm\.\w+"
"""What transformers' model has and never uses."""
