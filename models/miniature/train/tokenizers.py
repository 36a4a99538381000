# SPDX-License-Identifier: Apache-2.0
"""Tokenizers for the small models, trained on the world's own captions."""

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import BertTokenizer, CLIPTokenizer, GPT2Tokenizer

from models.miniature.world.vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS

_BERT_FIXED = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}
"""Grounding DINO's code knows these ids by heart, so a small vocabulary has to keep them."""


def caption_tokenizer(captions: Iterable[str]) -> GPT2Tokenizer:
    """A byte-level BPE tokenizer of OPT's kind (BOS and EOS are the same token)."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(captions, trainer)
    learned = json.loads(bpe.to_str())["model"]
    return GPT2Tokenizer(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],  # pyright: ignore[reportArgumentType]
        bos_token="</s>",
        eos_token="</s>",
        unk_token="</s>",
        pad_token="<pad>",
        add_bos_token=True,
        padding_side="left",
    )


def prompt_tokenizer(length: int) -> CLIPTokenizer:
    """A CLIP tokenizer, padded with its end token, to which each of the world's words is one token.

    Args:
        length: tokens that every prompt is padded to.
    """
    start, end = "<|startoftext|>", "<|endoftext|>"
    words = [*NOUNS, *COLOURS, *PATTERNS, "a", "an", "and", "somewhere"]
    words += [word for phrase in BACKGROUNDS.values() for word in phrase.split()]
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=[start, end],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator((word for word in sorted({*words}) for _ in range(2)), trainer)
    learned = json.loads(bpe.to_str())["model"]
    vocab = learned["vocab"]
    # Any word can be spelt: an unknown end of a word would be read as the end of the prompt.
    for ending in sorted(f"{letter}</w>" for letter in pre_tokenizers.ByteLevel.alphabet()):
        vocab.setdefault(ending, len(vocab))
    return CLIPTokenizer(
        vocab=vocab,
        merges=[tuple(pair) for pair in learned["merges"]],  # pyright: ignore[reportArgumentType]
        bos_token=start,
        eos_token=end,
        unk_token=end,
        pad_token=end,
        model_max_length=length,
    )


def phrase_tokenizer() -> BertTokenizer:
    """A BERT tokenizer that knows the world's words; every other word is one `[UNK]`."""
    vocab = dict(_BERT_FIXED)
    taken = set(vocab.values())
    vocab |= {f"[unused{index}]": index for index in range(1030) if index not in taken}
    scene_words = {word for phrase in BACKGROUNDS.values() for word in phrase.split()}
    words = sorted({*NOUNS, *COLOURS, *scene_words, "a", "an", "and", "two", "three"})
    vocab |= {word: 1030 + index for index, word in enumerate(words)}
    return BertTokenizer(vocab=vocab, do_lower_case=True)
