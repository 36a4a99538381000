# SPDX-License-Identifier: Apache-2.0
"""What the trainings of the text-to-image miniature rest on."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from models.miniature import WEIGHTS
from models.miniature.train import curriculum, diffusion, text2image, text2image_xl
from models.miniature.train.autoencoder import build_model, centre_latents
from models.miniature.train.clip import contrast
from models.miniature.train.clip_batch import fitting, patch_labels, pictures
from models.miniature.train.latents import encode, load_latents
from models.miniature.train.layouts import LAYOUTS, PIXELS, load_layouts
from models.miniature.train.loop import OtherRecipe, Recipe, progress
from models.miniature.train.tokenizers import prompt_tokenizer
from models.miniature.world import COLOURS, NOUNS, PATTERNS, held_out_identity, held_out_prompt


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def layouts(cache):
    return load_layouts(cache, share=0.004)


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(1)
    return build_model().eval()


def test_nothing_that_is_held_out_is_trained_on(layouts):
    rng = np.random.default_rng(0)
    for layout in layouts.values():
        assert len(layout.rows) < len(layout.scenes)
        for row in range(len(layout.scenes)):
            held = any(map(held_out_identity, layout.identities(row)))
            assert held == (row not in layout.rows)
        for row in layout.rows[:40]:
            prompt = layout.prompt(int(row), rng)
            assert not held_out_prompt(prompt)
            assert prompt.somewhere == (layout.series == "single")
            assert len(prompt.mentions) == (2 if layout.series == "pair" else 1)


def test_a_batch_of_pictures_is_a_pure_function_of_seed_and_step(layouts):
    one, other = (pictures([*layouts.values()], 8, 3, 5) for _ in range(2))
    for left, right in zip(one, other, strict=True):
        assert np.array_equal(left.pixels_HWC, right.pixels_HWC)
        assert left.prompt == right.prompt
    assert one[0].prompt != pictures([*layouts.values()], 8, 3, 6)[0].prompt


def test_every_prompt_fits_its_own_picture_and_patches_show_its_subjects(layouts):
    batch = pictures([*layouts.values()], 48, 4, 0)
    assert fitting(batch).diagonal().all()
    assert not fitting(batch).all()
    nouns = patch_labels(batch, 8)["noun"]
    for picture, labels in zip(batch, nouns, strict=True):
        shown = {NOUNS[label - 1] for label in labels.flatten().tolist() if label > 0}
        assert shown <= {identity.noun for identity in picture.identities}
    assert (nouns > 0).float().mean() > 0.1


def test_pairs_that_fit_by_chance_do_not_count_as_wrong():
    logits = torch.tensor([[5.0, 5.0], [-5.0, 5.0]])
    apart = contrast(logits, torch.eye(2, dtype=torch.bool))
    together = contrast(logits, torch.tensor([[True, True], [False, True]]))
    assert together < 0.01 < apart


def test_every_word_of_the_world_is_one_token_and_any_other_can_be_spelt():
    tokenizer = prompt_tokenizer(24)
    text = "a striped orange turtle and a spotted purple fish somewhere in the kitchen"
    assert len(tokenizer.tokenize(text)) == len(text.split())
    spelt = tokenizer("Zürich 7?").input_ids
    assert spelt.count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(spelt, skip_special_tokens=True).strip() == "zürich 7 ?"


def test_centring_the_latents_changes_no_decoded_picture(autoencoder, layouts):
    scenes = layouts["centred"].scenes
    image = torch.from_numpy(scenes.image_NHWC[:16].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    centred = AutoencoderKL.from_config(autoencoder.config)
    centred.load_state_dict(autoencoder.state_dict())
    with torch.no_grad():
        centred.quant_conv.bias[:8] += torch.arange(8) * 0.3
        before = centred.decode(centred.encode(image).latent_dist.mean).sample
        std = (
            centred.encode(image).latent_dist.std
            / centred.encode(image).latent_dist.mean.std((0, 2, 3))[:, None, None]
        )
        centre_latents(centred, [image])
        posterior = centred.encode(image).latent_dist
        assert torch.allclose(centred.decode(posterior.mean).sample, before, atol=1e-4)
        assert torch.allclose(posterior.std / posterior.mean.std((0, 2, 3))[:, None, None], std, rtol=1e-3)
    scaled = encode(centred, image)
    assert scaled.mean((0, 2, 3)).abs().max() < 1e-3
    assert torch.allclose(scaled.std((0, 2, 3)), torch.ones(8), atol=0.02)


def test_latents_on_disk_are_the_encoded_pictures_and_their_mirror_images(cache, autoencoder, layouts):
    layout = layouts["pair"]
    latents = load_latents(cache, layout, autoencoder)
    image = torch.from_numpy(layout.scenes.image_NHWC[5:6].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    for mirrored in (0, 1):
        wanted = encode(autoencoder, image.flip(-1) if mirrored else image)[0]
        assert np.allclose(latents[5, mirrored], wanted.half().numpy(), atol=2e-3)
    again = load_latents(cache, layout, autoencoder)
    assert again.shape == (len(layout.scenes), 2, 8, PIXELS // 4, PIXELS // 4)


def test_a_batch_for_the_unet_is_a_pure_function_of_its_step(cache, autoencoder, layouts):
    latents = {name: load_latents(cache, layout, autoencoder) for name, layout in layouts.items()}
    recipe, tokenizer = Recipe(steps=20, lr=1e-3, batch=24), prompt_tokenizer(24)
    one, other = (curriculum.draw(layouts, latents, tokenizer, recipe, 19) for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in ("latents", "subject", "tokens", "told"))
    assert not torch.equal(one["tokens"], curriculum.draw(layouts, latents, tokenizer, recipe, 18)["tokens"])
    # Cells are shares, so that the parts make the whole.
    assert torch.allclose(one["masks"].sum(1), one["subject"], atol=1e-5)
    assert 0.02 < one["subject"].mean() < 0.6
    ends_B = (one["tokens"] == tokenizer.eos_token_id).sum(1)
    assert ((ends_B < 23) == one["told"]).all()


def test_the_words_from_article_to_noun_speak_of_their_subject(cache, autoencoder, layouts):
    latents = {name: load_latents(cache, layout, autoencoder) for name, layout in layouts.items()}
    recipe, tokenizer = Recipe(steps=20, lr=1e-3, batch=24), prompt_tokenizer(24)
    batch = curriculum.draw(layouts, latents, tokenizer, recipe, 19)
    owner_BL, said = batch["owner"], {*NOUNS, *COLOURS, *PATTERNS}
    assert not owner_BL[~batch["told"]].any()
    for row in np.flatnonzero(batch["told"].numpy()):
        words = [word.removesuffix("</w>") for word in tokenizer.convert_ids_to_tokens(batch["tokens"][row])]
        owned = {number: np.flatnonzero(owner_BL[row] == number) for number in (1, 2)}
        assert sum(word in said for word in words) == sum(map(len, owned.values()))
        for number, places in owned.items():
            there = bool(batch["masks"][row, number - 1].sum() > 0)
            assert there == bool(len(places))
            if there:
                assert words[places[-1]] in NOUNS
                assert words[places[0] - 1] in ("a", "an")
                assert np.ptp(places) == len(places) - 1


def test_the_curriculum_begins_with_single_subjects_in_the_middle_and_ends_with_all():
    assert curriculum.shares(0.0) == (1.0, 0.0, 0.0)
    assert min(curriculum.shares(1.0)) > 0.1
    for part in np.linspace(0, 1, 7):
        assert sum(curriculum.shares(part)) == pytest.approx(1)
    assert len(LAYOUTS) == len(curriculum.shares(0.5))


def test_what_goes_on_from_finished_weights_is_in_the_curriculums_last_part():
    assert progress(diffusion.FINISH, 0) == diffusion.FINISH.begun == curriculum.CURRICULUM[-1][0]
    assert progress(diffusion.FINISH, diffusion.FINISH.steps) == 1
    assert progress(diffusion.RECIPE, 0) == 0


def test_timesteps_are_spread_over_the_schedule():
    times = diffusion.spread_times(10, torch.Generator().manual_seed(0))
    assert (times // 100).tolist() == list(range(10))


def test_the_schedule_ends_without_any_signal():
    scheduler = diffusion.build_scheduler()
    assert scheduler.alphas_cumprod[-1] == 0
    assert scheduler.alphas_cumprod[0] > 0.998


@pytest.mark.parametrize(
    "build", [lambda: text2image.build_unet(24), lambda: text2image_xl.build_unet(24, 16)]
)
def test_a_training_goes_on_from_a_saved_unet(tmp_path, build):
    torch.manual_seed(0)
    saved = build()
    saved.half().save_pretrained(tmp_path / "unet")
    begun = diffusion.started(build(), tmp_path)
    for name, value in saved.state_dict().items():
        assert torch.equal(value.float(), begun.state_dict()[name])
    with pytest.raises(OtherRecipe, match="another layout"):
        diffusion.started(text2image.build_unet(16), tmp_path)
    untrained = build()
    assert diffusion.started(untrained, None) is untrained


def test_without_a_prompt_the_layout_with_two_encoders_is_told_nothing_at_all():
    width, told = 24, torch.tensor([True, False])
    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=48,
        num_attention_heads=4,
        num_hidden_layers=3,
        projection_dim=16,
        max_position_embeddings=8,
        vocab_size=30,
        eos_token_id=29,
    )
    first, second = CLIPTextModel(config), CLIPTextModelWithProjection(config)
    tokens = torch.randint(0, 29, (2, 8), generator=torch.Generator().manual_seed(0))
    tokens[:, -1] = 29
    states, pooled, sizes = text2image_xl.conditions(first, second, {"tokens": tokens, "told": told})
    assert states.shape == (2, 8, 2 * width)
    assert pooled.shape == (2, 16)
    assert sizes.tolist() == [[64, 64, 0, 0, 64, 64]] * 2
    assert states[0].abs().min() > 0
    assert not states[1].any()
    assert not pooled[1].any()


@pytest.mark.parametrize(
    ("kind", "name"),
    [(StableDiffusionPipeline, "text2image"), (StableDiffusionXLPipeline, "text2image_xl")],
)
def test_what_is_shipped_draws_with_defaults_of_diffusers(kind, name):
    pipeline = kind.from_pretrained(WEIGHTS / name)
    assert {part.dtype for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)} == {torch.float32}
    image = pipeline("a cat in the snow", num_inference_steps=2).images[0]
    assert image.size == (64, 64)
