# SPDX-License-Identifier: Apache-2.0
"""The shipped text-to-image pipelines: what they are, what they draw, and that a seed is a picture."""

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from models.backends.protocols import MissingWeights
from models.generation import TextToImage
from models.miniature import WEIGHTS
from models.miniature.judge import Judge
from models.miniature.world import BACKGROUNDS, NOUNS, Mention, Prompt

LAYOUTS = {"text2image": StableDiffusionPipeline, "text2image_xl": StableDiffusionXLPipeline}
GENERATIVE = ("clip", "dino", "judge", "text2image", "text2image_xl")


def drawn(sampler, prompts, seeds, **options):
    return [np.asarray(image) for image in sampler.generate(sampler.load(), prompts, seeds, **options)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_shipped_folders_are_ordinary_ones_of_diffusers(name):
    pipeline = TextToImage(model=f"miniature:{name}").load()
    assert type(pipeline) is LAYOUTS[name]
    assert type(pipeline).from_pretrained(WEIGHTS / name, local_files_only=True).unet.config == (
        pipeline.unet.config
    )


def test_nothing_but_tensors_and_text_is_shipped():
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    generative = [path for path in files if path.relative_to(WEIGHTS).parts[0] in GENERATIVE]
    assert {path.suffix for path in generative} <= {".safetensors", ".json", ".txt", ".jinja"}
    assert sum(path.stat().st_size for path in generative) < 42 * 2**20


@pytest.mark.parametrize("name", LAYOUTS)
def test_single_subjects_are_drawn_as_the_prompt_says(name):
    places = [*BACKGROUNDS]
    prompts = [Prompt((Mention(noun, "red"),), places[k % len(places)]) for k, noun in enumerate(NOUNS)]
    sampler = TextToImage(model=f"miniature:{name}", batch_size=12)
    images = [*sampler.generate(sampler.load(), [prompt.text for prompt in prompts], range(12))]
    assert {image.size for image in images} == {(64, 64)}
    right = [
        (reading.background, {(seen.identity.noun, seen.identity.body) for seen in reading.subjects})
        == (prompt.background, {(prompt.mentions[0].noun, "red")})
        for prompt, reading in zip(
            prompts, Judge.from_pretrained(WEIGHTS / "judge").read(images), strict=True
        )
    ]
    assert sum(right) >= 10


def test_a_picture_is_its_prompts_and_its_seeds_whatever_the_batch():
    prompts, seeds = ["a cat in the snow", "a mug on the beach", "a red car in the city"], [5, 6, 7]
    together = drawn(TextToImage(steps=6), prompts, seeds)
    apart = drawn(TextToImage(steps=6, batch_size=1), prompts, seeds)
    for one, other in zip(together, apart, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 2
    again = drawn(TextToImage(steps=6), prompts, seeds)
    assert all(np.array_equal(one, other) for one, other in zip(together, again, strict=True))
    other_seed = drawn(TextToImage(steps=6), prompts[:1], [8])[0]
    assert np.abs(other_seed.astype(int) - together[0]).mean() > 5


def test_a_negative_prompt_keeps_away_from_what_it_says():
    sampler, seeds = TextToImage(steps=12, batch_size=16), range(16)
    judge = Judge.from_pretrained(WEIGHTS / "judge")
    blue = {}
    for negative in (None, "a blue cat"):
        images = [*sampler.generate(sampler.load(), ["a cat"] * 16, seeds, negative)]
        shown = [reading.subjects[0].identity.body for reading in judge.read(images) if reading.subjects]
        blue[negative] = shown.count("blue") / len(shown)
    assert blue["a blue cat"] < blue[None]


def test_another_size_is_the_users_to_choose():
    image = next(TextToImage(steps=2, size=96).generate(TextToImage().load(), ["a cat"], [0]))
    assert image.size == (96, 96)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(MissingWeights, match="nowhere"):
        TextToImage(model=str(tmp_path / "nowhere")).load()
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingWeights, match="empty"):
        TextToImage(model=str(tmp_path / "empty")).load()
