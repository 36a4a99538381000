# SPDX-License-Identifier: Apache-2.0
"""The sizes of a Grounding DINO with a Swin backbone, read from its weights (Liu et al. 2023, appendix)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.backends.original.checkpoint import Weights, count_of, size_of
from models.backends.protocols import MissingWeights

if TYPE_CHECKING:
    from transformers import GroundingDinoConfig

LENGTH = 256
"""Tokens of a prompt, which the authors' code does not let one choose."""
TEMPERATURE = 20
_SWIN, _ENCODER, _DECODER = "backbone.0.", "transformer.encoder.", "transformer.decoder."
_BERT = "bert.encoder.layer."
_HEAD = 64
"""Width of a head of BERT's attention, where it is divided into heads of this width."""


@dataclass(frozen=True, slots=True)
class SwinLayout:
    """Of the backbone."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int


@dataclass(frozen=True, slots=True)
class BertLayout:
    """Of the text encoder."""

    width: int
    layers: int
    inner: int
    words: int
    positions: int

    @property
    def heads(self) -> int:
        """12 of BERT base; one of a text encoder that is too narrow for two."""
        return max(1, self.width // _HEAD)


@dataclass(frozen=True, slots=True)
class DinoLayout:
    """Of all parts."""

    swin: SwinLayout
    bert: BertLayout
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    inner: int
    levels: int
    encoder_points: int
    decoder_points: int
    queries: int


def dino_layout(weights: Weights) -> DinoLayout:
    """The sizes that a checkpoint's tensors have.

    Raises:
        MissingWeights: it is of another model.
    """
    if "image_encoder.pos_embed" in weights:
        raise MissingWeights("it is a checkpoint of SAM, which the backend segment_anything runs")
    levels = size_of(weights, "transformer.level_embed")
    points = {
        name: size_of(weights, f"{begin}.attention_weights.bias") // levels
        for name, begin in (
            ("encoder", f"{_ENCODER}layers.0.self_attn"),
            ("decoder", f"{_DECODER}layers.0.cross_attn"),
        )
    }
    # Of heads and points only the product is told; published models have 4 points.
    heads = max(1, points["encoder"] // 4)
    return DinoLayout(
        swin=_swin(weights),
        bert=_bert(weights),
        width=size_of(weights, "feat_map.weight"),
        heads=heads,
        encoder_layers=count_of(weights, f"{_ENCODER}layers."),
        decoder_layers=count_of(weights, f"{_DECODER}layers."),
        inner=size_of(weights, f"{_ENCODER}layers.0.linear1.weight"),
        levels=levels,
        encoder_points=points["encoder"] // heads,
        decoder_points=points["decoder"] // heads,
        queries=size_of(weights, "transformer.tgt_embed.weight"),
    )


def _swin(weights: Weights) -> SwinLayout:
    stages = count_of(weights, f"{_SWIN}layers.")
    if not stages:
        raise MissingWeights("the checkpoint has no Swin backbone; other Grounding DINOs are not known here")
    tables = [f"{_SWIN}layers.{stage}.blocks.0.attn.relative_position_bias_table" for stage in range(stages)]
    return SwinLayout(
        width=size_of(weights, f"{_SWIN}patch_embed.proj.weight"),
        depths=tuple(count_of(weights, f"{_SWIN}layers.{stage}.blocks.") for stage in range(stages)),
        heads=tuple(size_of(weights, table, 1) for table in tables),
        window=(math.isqrt(size_of(weights, tables[0])) + 1) // 2,
    )


def _bert(weights: Weights) -> BertLayout:
    return BertLayout(
        width=size_of(weights, "bert.embeddings.word_embeddings.weight", 1),
        layers=count_of(weights, _BERT),
        inner=size_of(weights, f"{_BERT}0.intermediate.dense.weight"),
        words=size_of(weights, "bert.embeddings.word_embeddings.weight"),
        positions=size_of(weights, "bert.embeddings.position_embeddings.weight"),
    )


def bert_values(layout: BertLayout) -> dict[str, int]:
    """As `BertConfig` has them."""
    return {
        "hidden_size": layout.width,
        "num_hidden_layers": layout.layers,
        "num_attention_heads": layout.heads,
        "intermediate_size": layout.inner,
        "vocab_size": layout.words,
        "max_position_embeddings": layout.positions,
    }


def dino_config(layout: DinoLayout) -> GroundingDinoConfig:
    """The same for transformers."""
    from transformers import GroundingDinoConfig, SwinConfig

    swin = SwinConfig(
        embed_dim=layout.swin.width,
        depths=[*layout.swin.depths],
        num_heads=[*layout.swin.heads],
        window_size=layout.swin.window,
    )
    # Its backbone's mixin takes them, which type checkers do not see.
    swin.out_features = [f"stage{stage}" for stage in range(2, len(layout.swin.depths) + 1)]
    return GroundingDinoConfig(
        backbone_config=swin,  # pyright: ignore[reportArgumentType]
        text_config={"model_type": "bert", **bert_values(layout.bert)},
        d_model=layout.width,
        encoder_layers=layout.encoder_layers,
        decoder_layers=layout.decoder_layers,
        encoder_ffn_dim=layout.inner,
        decoder_ffn_dim=layout.inner,
        encoder_attention_heads=layout.heads,
        decoder_attention_heads=layout.heads,
        encoder_n_points=layout.encoder_points,
        decoder_n_points=layout.decoder_points,
        num_feature_levels=layout.levels,
        num_queries=layout.queries,
        max_text_len=LENGTH,
        positional_embedding_temperature=TEMPERATURE,
    )
