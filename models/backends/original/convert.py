# SPDX-License-Identifier: Apache-2.0
"""An original checkpoint as a folder that transformers loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError

from models.backends.original.bert_tokenizer import bert_tokenizer
from models.backends.original.checkpoint import Weights, naming, read_checkpoint
from models.backends.original.dino_layout import dino_config, dino_layout
from models.backends.original.dino_names import DINO_DROPPED, DINO_RULES, DINO_UNUSED
from models.backends.original.renamed import filled, renamed, used
from models.backends.original.sam_layout import sam_config, sam_layout
from models.backends.original.sam_names import SAM_DROPPED, SAM_SHARED, sam_rules
from models.backends.original.segment_anything import sam_processor
from models.backends.protocols import MissingWeights

Kind = Literal["grounding_dino", "sam"]
_TOLD_BY: dict[str, Kind] = {"transformer.level_embed": "grounding_dino", "image_encoder.pos_embed": "sam"}


def kind_of(weights: Weights) -> Kind:
    """Which model a checkpoint is of.

    Raises:
        MissingWeights: it is of none of those known.
    """
    for name, kind in _TOLD_BY.items():
        if name in weights:
            return kind
    raise MissingWeights(
        "the checkpoint is neither of Grounding DINO nor of SAM; give one that their authors published"
    )


def converted(path: Path, folder: Path, text: str, decoder_heads: int) -> Kind:
    """Write `folder`, with weights as safetensors, configuration and processor.

    Args:
        path: of the checkpoint.
        folder: is made.
        text: hub name or folder of Grounding DINO's tokenizer.
        decoder_heads: of SAM's mask decoder.

    Raises:
        MissingWeights: there is no such checkpoint or tokenizer, or it is of another model.
        OSError: the folder cannot be written to.
    """
    from transformers.utils import logging

    weights = read_checkpoint(path)
    with naming(path):
        kind = kind_of(weights)
        model, processor = _sam(weights, decoder_heads) if kind == "sam" else _grounding_dino(weights, text)
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
    except SafetensorError as error:
        # What the disk said is in its text alone.
        raise OSError(str(error)) from error
    return kind


def _grounding_dino(weights: Weights, text: str) -> tuple[Any, Any]:
    from transformers import (
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessorPil,
        GroundingDinoProcessor,
    )

    layout = dino_layout(weights)
    tokenizer = bert_tokenizer(text, None, weights)
    model = GroundingDinoForObjectDetection(dino_config(layout))
    filled(model, renamed(used(weights, DINO_DROPPED), DINO_RULES), DINO_UNUSED)
    return model.eval(), GroundingDinoProcessor(GroundingDinoImageProcessorPil(), tokenizer)


def _sam(weights: Weights, decoder_heads: int) -> tuple[Any, Any]:
    from transformers import SamModel, SamProcessor

    layout = sam_layout(weights, decoder_heads)
    model = SamModel(sam_config(layout))
    filled(model, renamed(used(weights, SAM_DROPPED), sam_rules(layout.score_depth)), SAM_SHARED)
    return model.eval(), SamProcessor(sam_processor(layout))
