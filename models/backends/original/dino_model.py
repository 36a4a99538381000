# SPDX-License-Identifier: Apache-2.0
"""The authors' Grounding DINO by their package, on a current transformers, without their configuration files.

Shapes: B prompts, L tokens, D width of the text encoder.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from models.backends.original.checkpoint import Weights
from models.backends.original.dino_layout import LENGTH, TEMPERATURE, DinoLayout, bert_values
from models.backends.original.dino_names import DINO_DROPPED
from models.backends.original.package import imported
from models.backends.original.renamed import filled, used

if TYPE_CHECKING:
    from torch import nn

PACKAGE = "groundingdino"


def dino_model(weights: Weights, layout: DinoLayout, tokenizer: Any) -> nn.Module:
    """With these weights, in inference mode.

    Args:
        weights: of the authors' checkpoint.
        layout: its sizes.
        tokenizer: that it was trained with.

    Raises:
        MissingPackage: groundingdino-py cannot be imported.
        MissingWeights: the checkpoint is of another model.
    """
    model = built(layout, tokenizer)
    filled(model, used(weights, DINO_DROPPED), DINO_DROPPED)
    return model.eval()


def built(layout: DinoLayout, tokenizer: Any) -> nn.Module:
    """With weights as they are made by chance.

    Raises:
        MissingPackage: groundingdino-py cannot be imported.
    """
    parts = f"{PACKAGE}.models.GroundingDINO"
    with warnings.catch_warnings():
        # It tells that it has no CUDA operators of its own, which its wheel never has.
        warnings.simplefilter("ignore")
        whole = imported(f"{parts}.groundingdino")
        backbone = imported(f"{parts}.backbone.backbone")
        swins = imported(f"{parts}.backbone.swin_transformer")
    asked = _asked(layout)
    stages = tuple(range(1, len(layout.swin.depths)))
    swin = swins.SwinTransformer(
        embed_dim=layout.swin.width,
        depths=[*layout.swin.depths],
        num_heads=[*layout.swin.heads],
        window_size=layout.swin.window,
        out_indices=stages,
        drop_path_rate=0.0,
    )
    joined = backbone.Joiner(swin, backbone.build_position_encoding(asked))
    joined.num_channels = [*swin.num_features[1:]]
    with _current_bert(whole, layout, tokenizer):
        model = whole.GroundingDINO(
            joined,
            whole.build_transformer(asked),
            num_queries=layout.queries,
            iter_update=True,
            query_dim=4,
            num_feature_levels=layout.levels,
            nheads=layout.heads,
            two_stage_type="standard",
            two_stage_bbox_embed_share=False,
            two_stage_class_embed_share=False,
            dn_number=0,
            sub_sentence_present=True,
            max_text_len=LENGTH,
        )
    for layer in model.transformer.encoder.text_layers:
        layer.register_forward_pre_hook(_each_its_own_mask, with_kwargs=True)
    return model


def _each_its_own_mask(
    layer: Any, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Masks of a batch for each head of each prompt, (B * heads, L, L).

    The layer itself repeats them in another order than its attention takes them, so that a prompt would get
    the mask of another one.
    """
    mask = named["src_mask"]
    return args, {**named, "src_mask": mask.repeat_interleave(layer.nhead, dim=0)}


def _asked(layout: DinoLayout) -> SimpleNamespace:
    """What published models have in common, and the sizes of this one."""
    return SimpleNamespace(
        hidden_dim=layout.width,
        nheads=layout.heads,
        enc_layers=layout.encoder_layers,
        dec_layers=layout.decoder_layers,
        dim_feedforward=layout.inner,
        num_queries=layout.queries,
        num_feature_levels=layout.levels,
        enc_n_points=layout.encoder_points,
        dec_n_points=layout.decoder_points,
        query_dim=4,
        num_patterns=0,
        pre_norm=False,
        transformer_activation="relu",
        embed_init_tgt=True,
        two_stage_type="standard",
        use_text_enhancer=True,
        use_fusion_layer=True,
        use_text_cross_attention=True,
        use_checkpoint=False,
        use_transformer_ckpt=False,
        dropout=0.0,
        text_dropout=0.0,
        fusion_dropout=0.0,
        fusion_droppath=0.0,
        position_embedding="sine",
        pe_temperatureH=TEMPERATURE,
        pe_temperatureW=TEMPERATURE,
    )


@contextmanager
def _current_bert(module: Any, layout: DinoLayout, tokenizer: Any) -> Iterator[None]:
    """The package's module makes its text encoder by this, while a model is built.

    Its own wrapper calls methods that transformers no longer has, and it loads weights that the checkpoint
    has.
    """
    from transformers import BertConfig, BertModel

    def encoder(_name: Any) -> Any:
        return BertModel(BertConfig(**bert_values(layout.bert)))  # pyright: ignore[reportArgumentType]

    ours = {
        "BertModelWarper": text_encoder,
        "get_tokenlizer": SimpleNamespace(
            get_tokenlizer=lambda _name: tokenizer, get_pretrained_language_model=encoder
        ),
    }
    before = {name: getattr(module, name) for name in ours}
    for name, value in ours.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def text_encoder(bert_model: Any) -> nn.Module:
    """BERT with a mask of its own for each token, and the weights' names that the checkpoint has."""
    import torch
    from torch import Tensor, nn

    class TextEncoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config, self.embeddings = bert_model.config, bert_model.embeddings
            self.encoder, self.pooler = bert_model.encoder, bert_model.pooler

        def forward(
            self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, token_type_ids: Tensor
        ) -> dict[str, Tensor]:
            """States (B, L, D), `attention_mask` being bool (B, L, L)."""
            states_BLD = self.embeddings(
                input_ids=input_ids, position_ids=position_ids, token_type_ids=token_type_ids
            )
            hidden_B1LL = torch.zeros_like(attention_mask, dtype=states_BLD.dtype)[:, None]
            hidden_B1LL.masked_fill_(~attention_mask[:, None], torch.finfo(states_BLD.dtype).min)
            found = self.encoder(states_BLD, attention_mask=hidden_B1LL)
            return {"last_hidden_state": found[0]}

    return TextEncoder()
