# SPDX-License-Identifier: Apache-2.0
"""Models of the full architectures with weights made by chance, as folders that the backends load.

Speed does not depend on weights where as many tokens and boxes are asked for: nothing ends a caption early.
"""

from pathlib import Path
from typing import Any

import torch

from models.miniature.train.tokenizers import caption_tokenizer, phrase_tokenizer

_BF16 = torch.bfloat16
_VOCABULARY = 50_272
"""OPT's."""


def blip2(folder: Path, layers: int | None = None) -> Path:
    """BLIP-2 with OPT-2.7B.

    Args:
        folder: is made.
        layers: of each of its three parts, for a machine that has not the memory for all of them.
    """
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, BlipImageProcessorPil

    tokenizer = caption_tokenizer(["a cat"])
    processor = Blip2Processor(
        BlipImageProcessorPil(size={"height": 224, "width": 224}), tokenizer, num_query_tokens=32
    )
    # Whatever is said is a caption: an empty one would be rejected.
    tokenizer.add_tokens([f" word{number}" for number in range(len(tokenizer), _VOCABULARY)])
    text = {
        "model_type": "opt",
        "hidden_size": 2560,
        "word_embed_proj_dim": 2560,
        "ffn_dim": 10240,
        "num_hidden_layers": layers or 32,
        "num_attention_heads": 32,
        "bos_token_id": 2,
        "pad_token_id": 1,
        # Nothing ends a caption.
        "eos_token_id": None,
        "vocab_size": _VOCABULARY,
    }
    config = Blip2Config(
        vision_config={"num_hidden_layers": layers or 39},
        qformer_config={"num_hidden_layers": layers or 12},
        text_config=text,
        image_token_index=tokenizer.get_vocab()["<image>"],
    )
    return _saved(folder, _made(Blip2ForConditionalGeneration, config), processor)


def grounding_dino(folder: Path, kind: str = "GroundingDino") -> Path:
    """Grounding DINO with Swin-T and BERT; `MMGroundingDino` for the other one."""
    import transformers

    config = getattr(transformers, f"{kind}Config")()
    processor = transformers.GroundingDinoProcessor(
        transformers.GroundingDinoImageProcessorPil(), phrase_tokenizer()
    )
    return _saved(folder, _made(getattr(transformers, f"{kind}ForObjectDetection"), config), processor)


def sam(folder: Path, layers: int | None = None) -> Path:
    """SAM with ViT-H; see `blip2`."""
    from transformers import SamConfig, SamImageProcessorPil, SamModel, SamProcessor

    depth = layers or 32
    vision = {
        "hidden_size": 1280,
        "num_hidden_layers": depth,
        "num_attention_heads": 16,
        "global_attn_indexes": [place for place in (7, 15, 23, 31) if place < depth],
    }
    return _saved(
        folder, _made(SamModel, SamConfig(vision_config=vision)), SamProcessor(SamImageProcessorPil())
    )


def _made(kind: Any, config: Any) -> Any:
    """On a GPU where there is one: filling billions of weights takes a CPU minutes."""
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        return kind(config).to(_BF16)


def _saved(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
