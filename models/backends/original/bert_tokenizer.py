# SPDX-License-Identifier: Apache-2.0
"""The tokenizer of Grounding DINO's text encoder, which is not in its checkpoints."""

from __future__ import annotations

from typing import Any

from models.backends.original.checkpoint import Weights, size_of
from models.backends.protocols import MissingWeights
from models.backends.weights import pretrained

_IDS = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
"""That both packages' code has written out."""


def bert_tokenizer(text: str, revision: str | None, weights: Weights) -> Any:
    """BERT's, or one with its special tokens.

    Args:
        text: hub name or local folder.
        revision: on the hub.
        weights: of the checkpoint, whose table of words has to hold the tokenizer's.

    Raises:
        MissingWeights: it cannot be had, or is another kind of tokenizer.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = pretrained(AutoTokenizer, text, revision)
    except MissingWeights as error:
        raise MissingWeights(
            f"Grounding DINO needs BERT's tokenizer, which is in no checkpoint of it: {error}; give `text` "
            "(--text) a local folder with it"
        ) from error
    found = {word: tokenizer.convert_tokens_to_ids(word) for word in _IDS}
    words = size_of(weights, "bert.embeddings.word_embeddings.weight")
    if found != _IDS or "token_type_ids" not in tokenizer("cat .") or len(tokenizer) > words:
        raise MissingWeights(
            f"the tokenizer '{text}' is not BERT's; give `text` (--text) google-bert/bert-base-uncased, or a "
            "folder with that"
        )
    return tokenizer
