# SPDX-License-Identifier: Apache-2.0
"""Diffusion models of the full architectures with weights made by chance, as folders: for their speed alone.

Stable Diffusion 2 base (`sd2`) and CLIP ViT-H (`clip`) are what the trainer begins with; SDXL base (`sdxl`)
is what ConsiStory and OneActor were made for. The tokenizer is the miniature's.

COMMAND  python -m benchmarks.full_size.diffusion {sd2,sdxl,clip} FOLDER [--dtype bfloat16]
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from models.backends.weights import located

_TEXT = Path(located("miniature:text2image"), "tokenizer")


def main() -> None:
    """Make one folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("sd2", "sdxl", "clip"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    # Filling billions of weights takes a CPU minutes.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        parts = PARTS[arguments.kind](getattr(torch, arguments.dtype))
    _save(arguments.kind, parts, arguments.folder)


def sd2(dtype: torch.dtype) -> dict[str, Any]:
    """Stable Diffusion 2 base: its networks, on torch's default device."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    unet = _made(
        UNet2DConditionModel,
        dtype,
        sample_size=64,
        cross_attention_dim=1024,
        attention_head_dim=(5, 10, 20, 20),
        use_linear_projection=True,
    )
    text = _made(CLIPTextModel, dtype, config=_text(1024, 4096, 23, 16, 512, "gelu"))
    return {"unet": unet, "text_encoder": text, "vae": _vae(dtype, 0.18215, 512)}


def sdxl(dtype: torch.dtype) -> dict[str, Any]:
    """SDXL base: its networks, on torch's default device."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    unet = _made(
        UNet2DConditionModel,
        dtype,
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    return {
        "unet": unet,
        "text_encoder": _made(CLIPTextModel, dtype, config=_text(768, 3072, 12, 12, 768, "quick_gelu")),
        "text_encoder_2": _made(
            CLIPTextModelWithProjection, dtype, config=_text(1280, 5120, 32, 20, 1280, "gelu")
        ),
        "vae": _vae(dtype, 0.13025, 1024),
    }


def clip(dtype: torch.dtype) -> dict[str, Any]:
    """CLIP's ViT-H tower."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=1280,
        intermediate_size=5120,
        num_hidden_layers=32,
        num_attention_heads=16,
        patch_size=14,
        image_size=224,
        projection_dim=1024,
        hidden_act="gelu",
    )
    return {"tower": _made(CLIPVisionModelWithProjection, dtype, config=config)}


PARTS = {"sd2": sd2, "sdxl": sdxl, "clip": clip}


def _text(width: int, inner: int, layers: int, heads: int, out: int, activation: str) -> Any:
    from transformers import CLIPTextConfig

    tokenizer = _tokenizer()
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=out,
        hidden_act=activation,
        vocab_size=49_408,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _made(kind: Any, dtype: torch.dtype, **options: Any) -> Any:
    return kind(**options).to(dtype)


def _vae(dtype: torch.dtype, scaling: float, side: int) -> Any:
    from diffusers import AutoencoderKL

    blocks = (128, 256, 512, 512)
    return _made(
        AutoencoderKL,
        dtype,
        block_out_channels=blocks,
        down_block_types=("DownEncoderBlock2D",) * len(blocks),
        up_block_types=("UpDecoderBlock2D",) * len(blocks),
        layers_per_block=2,
        latent_channels=4,
        sample_size=side,
        scaling_factor=scaling,
    )


def _tokenizer() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(_TEXT)


def _save(kind: str, parts: dict[str, Any], folder: Path) -> None:
    from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
    from transformers import CLIPImageProcessorPil

    if kind == "clip":
        parts["tower"].save_pretrained(folder)
        CLIPImageProcessorPil().save_pretrained(folder)
        return
    rest: dict[str, Any] = {
        "tokenizer": _tokenizer(),
        "scheduler": DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
    }
    if kind == "sdxl":
        StableDiffusionXLPipeline(**parts, **rest, tokenizer_2=_tokenizer()).save_pretrained(folder)
        return
    none: dict[str, Any] = {
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    StableDiffusionPipeline(**parts, **rest, **none).save_pretrained(folder)


if __name__ == "__main__":
    main()
