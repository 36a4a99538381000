# SPDX-License-Identifier: Apache-2.0
"""SAM by its authors' package, segment-anything, on their own checkpoints.

Shapes: B images, N boxes, H = W pixels of the model's square, C channels, h, w cells of an encoded image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from models.backends.bounds import Count
from models.backends.box_segmenter import BoxSegmenter
from models.backends.compiling import Compiling
from models.backends.original.checkpoint import Weights, check_checkpoint, naming, read_checkpoint
from models.backends.original.package import check_installed, computing_in, imported
from models.backends.original.renamed import filled, used
from models.backends.original.sam_layout import HEADS, SamLayout, sam_layout
from models.backends.original.sam_names import SAM_DROPPED
from models.backends.protocols import Segmenter
from models.backends.runtime import Runtime

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

PACKAGE = "segment_anything"


@dataclass(frozen=True, kw_only=True)
class SegmentAnything(Runtime):
    """The authors' SAM; ViT-H, L or B is read from the weights."""

    model: str = ""
    """Path of the checkpoint, such as `sam_vit_h_4b8939.pth`."""
    boxes_at_once: Count = 32
    """Boxes of one image that are decoded together."""
    decoder_heads: Count = HEADS
    """Of the mask decoder's attention, which weights do not tell; 8 in all published models."""

    def check(self) -> None:
        """See that package and checkpoint are there.

        Raises:
            MissingPackage: segment-anything is not installed.
            MissingWeights: there is no such checkpoint.
        """
        check_installed(PACKAGE)
        check_checkpoint(self.model)

    def load(self) -> Segmenter:
        """Bring the model to the device.

        Raises:
            MissingPackage: segment-anything is not installed.
            MissingWeights: there is no such checkpoint, or it is of another model.
            MissingDevice: there is no such GPU here.
        """
        import torch

        device, dtype = self.place()
        weights = read_checkpoint(self.model)
        with naming(self.model):
            model = self.prepared(sam_model(weights, self.decoder_heads), device)
            processor = sam_processor(sam_layout(weights, self.decoder_heads))
        loaded = Model(model, dtype, Compiling(self.compile, model.image_encoder))  # pyright: ignore[reportArgumentType]
        return BoxSegmenter(loaded, processor, self.boxes_at_once, device, torch.float32)


def sam_model(weights: Weights, decoder_heads: int = HEADS) -> nn.Module:
    """With these weights, in inference mode.

    Raises:
        MissingPackage: segment-anything cannot be imported.
        MissingWeights: the checkpoint is of another model.
    """
    model = built(sam_layout(weights, decoder_heads))
    filled(model, used(weights, SAM_DROPPED), SAM_DROPPED)
    return model.eval()


def built(layout: SamLayout) -> nn.Module:
    """With weights as they are made by chance.

    Raises:
        MissingPackage: segment-anything cannot be imported.
    """
    from torch import nn

    parts = imported(f"{PACKAGE}.modeling")
    transformers = imported(f"{PACKAGE}.modeling.transformer")
    encoder = parts.ImageEncoderViT(
        img_size=layout.side,
        patch_size=layout.patch,
        embed_dim=layout.width,
        depth=layout.depth,
        num_heads=layout.heads,
        mlp_ratio=layout.inner / layout.width,
        out_chans=layout.out,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=layout.window,
        global_attn_indexes=layout.everywhere,
    )
    prompts = parts.PromptEncoder(
        embed_dim=layout.out,
        image_embedding_size=(layout.grid, layout.grid),
        input_image_size=(layout.side, layout.side),
        mask_in_chans=layout.mask_channels,
    )
    two_way = transformers.TwoWayTransformer(
        depth=layout.decoder_depth,
        embedding_dim=layout.out,
        num_heads=layout.decoder_heads,
        mlp_dim=layout.decoder_inner,
    )
    decoder = parts.MaskDecoder(
        transformer_dim=layout.out,
        transformer=two_way,
        num_multimask_outputs=layout.masks,
        iou_head_depth=layout.score_depth,
        iou_head_hidden_dim=layout.score_width,
    )
    return parts.Sam(encoder, prompts, decoder)


def sam_processor(layout: SamLayout) -> Any:
    """Transformers' image processor with SAM's numbers, so that both backends see the same pixels."""
    from transformers import SamImageProcessorPil

    return SamImageProcessorPil(
        size={"longest_edge": layout.side},
        pad_size={"height": layout.side, "width": layout.side},
        mask_size={"longest_edge": 4 * layout.grid},
        mask_pad_size={"height": 4 * layout.grid, "width": 4 * layout.grid},
    )


class Model:
    """See `models.backends.box_segmenter.BoxModel`."""

    def __init__(self, model: Any, dtype: torch.dtype, compiling: Compiling) -> None:
        """
        Args:
            model: see `sam_model`, float32.
            dtype: that it computes in, where it can.
            compiling: of its image encoder.
        """
        self._model, self._dtype, self._compiling = model, dtype, compiling

    def encode(self, pixels_B3HW: Tensor) -> Tensor:
        """(B, C, h, w), float32."""
        device = self._model.image_encoder.patch_embed.proj.weight.device
        with computing_in(device, self._dtype):
            encoded: Tensor = self._model.image_encoder(self._compiling.filled(pixels_B3HW))
            return encoded[: len(pixels_B3HW)].float()

    def decode(self, encoded: Tensor, box_BN4: Tensor) -> tuple[Tensor, Tensor]:
        """An image at a time: the package decodes prompts of one."""
        import torch

        places = self._model.prompt_encoder.get_dense_pe()
        found = [self._decoded(one, boxes, places) for one, boxes in zip(encoded, box_BN4, strict=True)]
        masks, scores = zip(*found, strict=True)
        return torch.stack(masks), torch.stack(scores)

    def _decoded(self, encoded_Chw: Tensor, box_N4: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        sparse, dense = self._model.prompt_encoder(points=None, boxes=box_N4, masks=None)
        # Not the prompts: bfloat16 knows the corners of a box to a pixel or two.
        with computing_in(encoded_Chw.device, self._dtype):
            return self._model.mask_decoder(
                image_embeddings=encoded_Chw[None],
                image_pe=places,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
