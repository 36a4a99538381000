# SPDX-License-Identifier: Apache-2.0
"""Pictures of given subjects: Subject-Diffusion as a diffusers pipeline (spec section 2.7).

Shapes: B pictures, K subjects, R x R pixels of a reference, 3 colours, C latent channels, H, W latent cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor

from models.subject_diffusion.asked import Asked, asked, nobody, references_of
from models.subject_diffusion.condition_drop import Dropped
from models.subject_diffusion.conditions import Conditioner, Conditions
from models.subject_diffusion.guidance import guided, personalised
from models.subject_diffusion.options import options_of
from models.subject_diffusion.predicting import predicted
from models.subject_diffusion.subject_encoder import Normalise, SubjectEncoder
from models.subject_diffusion.template import Template


@dataclass(frozen=True, slots=True)
class Scales:
    """How far to go with the text, and with the references."""

    text: float
    image: float

    @property
    def passes(self) -> tuple[str, ...]:
        """Which predictions a step needs."""
        if self.text == self.image == 1:
            return ("full",)
        return ("none", "full") if self.text == self.image else ("none", "image", "full")


class SubjectDiffusionPipeline(DiffusionPipeline):
    """Draws prompts with given subjects in them."""

    model_cpu_offload_seq = "text_encoder->image_encoder->subjects->unet->vae"

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        unet: Any,
        scheduler: Any,
        image_encoder: Any,
        feature_extractor: Any,
        subjects: Any,
        text_scale: float = 7.5,
        image_scale: float = 1.5,
    ) -> None:
        """
        Args:
            vae: an `AutoencoderKL`.
            text_encoder: the trained one.
            tokenizer: with the placeholder.
            unet: a `SubjectUNet`.
            scheduler: any of diffusers'.
            image_encoder: a `CLIPVisionModelWithProjection`.
            feature_extractor: what its pictures are normalised with.
            subjects: `SubjectModules`.
            text_scale: usual guidance by the text.
            image_scale: usual guidance by the references.
        """
        super().__init__()
        # Where nothing is asked for, transformers loads in the precision of the files, diffusers in float32.
        if None not in (text_encoder, unet) and text_encoder.dtype != unet.dtype:
            text_encoder.to(unet.dtype)
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            image_encoder=image_encoder,
            feature_extractor=feature_extractor,
            subjects=subjects,
        )
        self.register_to_config(text_scale=text_scale, image_scale=image_scale)
        self.options = options_of(subjects.config["options"])
        self.image_processor = VaeImageProcessor(
            vae_scale_factor=2 ** (len(vae.config.block_out_channels) - 1)
        )

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        references: Sequence[Image.Image] | Sequence[Sequence[Image.Image]],
        labels: Sequence[str] | Sequence[Sequence[str]],
        boxes: Any = None,
        num_inference_steps: int = 50,
        text_scale: float | None = None,
        image_scale: float | None = None,
        alpha: float = 0.0,
        base: Any = None,
        height: int | None = None,
        width: int | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> Any:
        """One picture for each prompt.

        Args:
            prompt: without the names of the subjects, which are added.
            references: the subjects, cut out: RGBA, or RGB on white. One list for all prompts, or one each.
            labels: what each reference is, such as "cat".
            boxes: where each subject is to be, x0, y0, x1, y1 in [0, 1]; usual places if not given.
            num_inference_steps: of the scheduler.
            text_scale: guidance by the text; 1 is none, the model's usual one if not given.
            image_scale: guidance by the references, likewise.
            alpha: share of the steps, from the end, that are drawn from the plain prompt (equation 4).
            base: a `StableDiffusionPipeline` that draws those; this model without its subjects if not given.
            height: of the pictures in pixels; the model's own if not given.
            width: of the pictures in pixels; the model's own if not given.
            generator: one for all pictures, or one each.
            output_type: `pil`, `np`, `pt` or `latent`.
            return_dict: False for a tuple.

        Raises:
            ValueError: a reference, label or box too many or too few, or a prompt that the template refuses.
        """
        prompts = [prompt] if isinstance(prompt, str) else [*prompt]
        side, scale = self.unet.config.sample_size, self.image_processor.config["vae_scale_factor"]
        size = (height or side * scale) // scale, (width or side * scale) // scale
        scales = self._scales(text_scale, image_scale)
        told = self._told(prompts, asked(len(prompts), references, labels, boxes), size, scales)
        plain = self._plain(prompts, size, base) if alpha > 0 else None
        device, dtype = self._execution_device, self.unet.dtype
        shape = (len(prompts), self.vae.config.latent_channels, *size)
        latents_BCHW = randn_tensor(shape, generator=generator, device=device, dtype=dtype)
        self.scheduler.set_timesteps(num_inference_steps, device=device)
        latents_BCHW = latents_BCHW * self.scheduler.init_noise_sigma
        times = self.scheduler.timesteps
        for place, time in enumerate(self._shown(times)):
            seen_BCHW = self.scheduler.scale_model_input(latents_BCHW, time)
            if plain is None or personalised(place, len(times), alpha):
                step = self._step(seen_BCHW, time, told, scales)
            else:
                step = self._plain_step(seen_BCHW, time, plain, base, scales.text)
            latents_BCHW = self.scheduler.step(step, time, latents_BCHW).prev_sample
        images = self._decoded(latents_BCHW, output_type)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images) if return_dict else (images,)

    def _scales(self, text: float | None, image: float | None) -> Scales:
        usual = self.config
        return Scales(
            usual["text_scale"] if text is None else text, usual["image_scale"] if image is None else image
        )

    def _shown(self, times: Tensor) -> Iterator[Tensor]:
        with self.progress_bar(total=len(times)) as bar:  # pyright: ignore[reportCallIssue]
            for time in times:
                yield time
                bar.update()

    def _conditioner(self) -> Conditioner:
        template = Template(self.tokenizer, self.options)
        parts = self.text_encoder, self.subjects.projector, self.subjects.grounding
        empty_1L = template.encode([""], [[]]).ids_BL.to(self._execution_device)
        return Conditioner(self.options, template, *parts, empty_1L)

    def _told(
        self, prompts: Sequence[str], several: Sequence[Asked], size: tuple[int, int], scales: Scales
    ) -> dict[str, Conditions]:
        """Of each pass."""
        conditioner, device = self._conditioner(), self._execution_device
        encoded = conditioner.template.encode(prompts, [each.labels for each in several]).to(device)
        extractor = self.feature_extractor
        references = references_of(
            several,
            SubjectEncoder(self.image_encoder),
            Normalise(extractor.image_mean, extractor.image_std),
            self.options.max_subjects,
            device,
            self.unet.dtype,
        )
        yes = torch.ones(len(prompts), dtype=torch.bool, device=device)
        drops = {"none": Dropped(yes, yes, yes), "image": Dropped(yes, ~yes, ~yes), "full": None}
        return {name: conditioner(encoded, references, *size, drop=drops[name]) for name in scales.passes}

    def _step(self, seen_BCHW: Tensor, time: Tensor, told: dict[str, Conditions], scales: Scales) -> Tensor:
        several_BCHW = seen_BCHW.repeat(len(told), 1, 1, 1)
        found = predicted(self.unet, several_BCHW, time, joined([*told.values()])).chunk(len(told))
        if len(found) == 3:
            return guided(*found, scales.text, scales.image)
        return found[0] + scales.text * (found[1] - found[0]) if len(found) == 2 else found[0]

    def _plain(self, prompts: Sequence[str], size: tuple[int, int], base: Any) -> Conditions:
        """Of the empty and the plain prompts, for the base or for this model without its subjects."""
        texts, device = [*[""] * len(prompts), *prompts], self._execution_device
        if base is not None:
            options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
            ids = base.tokenizer(texts, max_length=base.tokenizer.model_max_length, **options).input_ids
            return Conditions(base.text_encoder(ids.to(device)).last_hidden_state, None, None)
        conditioner, yes = self._conditioner(), torch.ones(len(texts), dtype=torch.bool, device=device)
        encoder, slots = SubjectEncoder(self.image_encoder), self.options.max_subjects
        without = nobody(len(texts), encoder, slots, device, self.unet.dtype)
        encoded = conditioner.template.encode(texts, [[]] * len(texts)).to(device)
        return conditioner(encoded, without, *size, drop=Dropped(~yes, yes, yes))

    def _plain_step(self, seen_BCHW: Tensor, time: Tensor, plain: Any, base: Any, scale: float) -> Tensor:
        unet = self.unet if base is None else base.unet
        empty_BCHW, full_BCHW = predicted(unet, seen_BCHW.repeat(2, 1, 1, 1), time, plain).chunk(2)
        return empty_BCHW + scale * (full_BCHW - empty_BCHW)

    def _decoded(self, latents_BCHW: Tensor, output_type: str) -> Any:
        if not latents_BCHW.isfinite().all():
            raise FloatingPointError("the latents are no numbers; sample in float32, or with less guidance")
        if output_type == "latent":
            return latents_BCHW
        config = self.vae.config
        scaled_BCHW = latents_BCHW / config.scaling_factor + (config.shift_factor or 0.0)
        # A training's autoencoder may compute in another precision than what is trained.
        image = self.vae.decode(scaled_BCHW.to(self.vae.dtype)).sample
        return self.image_processor.postprocess(image, output_type=output_type)


def joined(several: Sequence[Conditions]) -> Conditions:
    """Conditions one after another as those of a larger batch."""

    def cat(name: str) -> Tensor | None:
        values = [getattr(each, name) for each in several]
        return None if values[0] is None else torch.cat(values)

    states = torch.cat([each.states_BLD for each in several])
    return Conditions(states, cat("tokens_BSD"), cat("map_B1HW"))
