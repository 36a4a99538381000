# SPDX-License-Identifier: Apache-2.0
"""The pipeline in use: what decides a picture, and what a finished folder needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from models.subject_diffusion.bundle import bundled
from models.subject_diffusion.drawing import SubjectsToImage, load_pipeline
from models.subject_diffusion.export import save_pipeline
from models.subject_diffusion.options import Options, options_of
from models.subject_diffusion.placing import checked, random_box, usual_boxes
from models.subject_diffusion.template import BadPrompt
from tests.models.subject_diffusion.tiny import text_encoder_of
from tests.models.subject_diffusion.tiny_pipeline import made, picture

PROMPTS = ["a cat in the snow", "a dog at night"]


@pytest.fixture(scope="module")
def pipeline():
    return made()[0]


def seeds(*numbers):
    return [torch.Generator().manual_seed(number) for number in numbers]


def drawn(pipeline, prompts=PROMPTS, references=None, labels=("cat",), numbers=(0, 1), **more):
    return pipeline(
        prompts,
        references or [picture("red")],
        labels,
        num_inference_steps=3,
        generator=seeds(*numbers),
        output_type="np",
        **more,
    ).images


def apart(one, other):
    return float(np.abs(one - other).max())


def test_seeds_decide_and_the_batch_does_not(pipeline):
    both = drawn(pipeline)
    assert both.shape == (2, 32, 32, 3)
    assert apart(both, drawn(pipeline)) == 0
    assert apart(both[1:], drawn(pipeline, PROMPTS[1:], numbers=(1,))) < 1e-4
    assert apart(both[0], drawn(pipeline, numbers=(3, 1))[0]) > 1e-3


def test_reference_label_and_box_all_have_a_say(pipeline):
    first = drawn(pipeline)
    assert apart(first, drawn(pipeline, references=[picture("blue")])) > 1e-4
    assert apart(first, drawn(pipeline, labels=("dog",))) > 1e-4
    assert apart(first, drawn(pipeline, boxes=[(0.0, 0.0, 0.4, 0.4)])) > 1e-4


def test_a_cut_out_may_be_transparent_or_on_white(pipeline):
    on_white = Image.new("RGB", (40, 30), "white")
    on_white.paste(picture("red"), (0, 0), picture("red"))
    assert apart(drawn(pipeline), drawn(pipeline, references=[on_white])) < 1e-5


def test_each_prompt_may_have_its_own_subjects(pipeline):
    own = drawn(
        pipeline,
        references=[[picture("red")], [picture("red"), picture("green")]],
        labels=[["cat"], ["dog", "mug"]],
    )
    assert apart(own[:1], drawn(pipeline, PROMPTS[:1], numbers=(0,))) < 1e-4
    swapped = drawn(
        pipeline,
        references=[[picture("red")], [picture("green"), picture("red")]],
        labels=[["cat"], ["dog", "mug"]],
    )
    assert apart(own[1], swapped[1]) > 1e-4


def test_without_guidance_a_step_is_one_prediction(pipeline):
    with torch.no_grad():
        calls = []
        handle = pipeline.unet.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
        for text, image in ((1.0, 1.0), (3.0, 3.0), (5.0, 1.5)):
            drawn(pipeline, text_scale=text, image_scale=image)
        handle.remove()
    assert calls == [2] * 3 + [4] * 3 + [6] * 3


def test_the_usual_guidance_is_part_of_the_folder(tmp_path):
    strong, _ = made(guidance=(3.0, 5.0))
    expected = drawn(strong, text_scale=3.0, image_scale=5.0)
    assert apart(drawn(strong), expected) == 0
    assert apart(drawn(strong, image_scale=1.5), expected) > 1e-3
    save_pipeline(strong, tmp_path)
    found = load_pipeline(str(tmp_path), None, torch.float32)
    found.set_progress_bar_config(disable=True)
    assert apart(drawn(found), expected) == 0
    drawing = SubjectsToImage(model=str(tmp_path), image_guidance=2.0).load()
    assert drawing.guidance == {"text_guidance": 3.0, "image_guidance": 2.0}


def test_an_autoencoder_may_compute_in_another_precision():
    pipeline, _ = made()
    expected = drawn(pipeline)
    torch.nn.Module.to(pipeline.vae, torch.bfloat16)
    torch.nn.Module.to(pipeline.image_encoder, torch.bfloat16)
    assert 0 < apart(expected, drawn(pipeline)) < 0.1


def test_equal_scales_are_ordinary_guidance(pipeline):
    assert (
        apart(
            drawn(pipeline, text_scale=3.0, image_scale=3.0),
            drawn(pipeline, text_scale=3.0, image_scale=3.0 + 1e-9),
        )
        < 1e-4
    )


def test_alpha_one_is_the_base():
    pipeline, base = made()
    plain = StableDiffusionPipeline(
        base.vae,
        text_encoder_of(base.tokenizer),
        base.tokenizer,
        base.unet,
        base.scheduler,
        None,
        None,
        None,
        False,
    )
    plain.set_progress_bar_config(disable=True)
    expected = plain(
        PROMPTS, num_inference_steps=3, guidance_scale=5.0, generator=seeds(0, 1), output_type="np"
    ).images
    assert apart(expected, drawn(pipeline, text_scale=5.0, alpha=1.0, base=plain)) < 1e-6
    between = [drawn(pipeline, text_scale=5.0, alpha=alpha, base=plain) for alpha in (0.0, 0.4)]
    assert apart(expected, between[0]) > 1e-6
    assert apart(between[0], between[1]) > 1e-6


def test_alpha_without_a_base_is_the_model_without_its_subjects(pipeline):
    one, other = (drawn(pipeline, references=[picture(colour)], alpha=1.0) for colour in ("red", "blue"))
    assert apart(one, other) == 0


@pytest.mark.parametrize(
    ("more", "error", "part"),
    [
        ({"labels": ("cat", "dog")}, ValueError, "1 references and 2 labels"),
        ({"references": [[picture("red")]], "labels": [["cat"]]}, ValueError, "2 prompts"),
        ({"boxes": [(0, 0, 1, 1), (0, 0, 1, 1)]}, ValueError, "2 boxes for 1 subjects"),
        ({"boxes": [(0.5, 0, 0.2, 1)]}, ValueError, "no box"),
        ({"references": [picture("red")] * 3, "labels": ("cat",) * 3}, BadPrompt, "3 subjects"),
        ({"prompts": ["a sks cat", "a cat"]}, BadPrompt, "sks"),
        ({"labels": (" ",)}, BadPrompt, "empty"),
        ({"image_scale": float("nan")}, FloatingPointError, "the latents are no numbers"),
    ],
)
def test_mistakes(pipeline, more, error, part):
    with pytest.raises(error, match=part):
        drawn(pipeline, **more)
    with pytest.raises(ValueError, match="no reference"):
        pipeline(PROMPTS, [], [])


@pytest.mark.parametrize("left_out", [None, "adapter", "cls_fusion", "location_control"])
def test_every_ablation_draws_and_comes_back_from_disk(tmp_path, left_out):
    pipeline, _ = made(**({left_out: False} if left_out else {}))
    expected = drawn(pipeline)
    save_pipeline(pipeline, tmp_path)
    again = load_pipeline(str(tmp_path), None, torch.float32)
    again.set_progress_bar_config(disable=True)
    assert again.options == pipeline.options
    assert apart(expected, drawn(again)) < 1e-6


ALONE = """
import sys
sys.path = [path for path in sys.path if path != {root!r}]
import importlib.util
assert importlib.util.find_spec("models") is None, importlib.util.find_spec("models")
import numpy as np, torch
from diffusers import DiffusionPipeline
from PIL import Image
pipeline = DiffusionPipeline.from_pretrained({folder!r}, trust_remote_code=True)
images = pipeline(
    ["a cat in the snow"], [Image.open({reference!r})], ["cat"], num_inference_steps=3,
    generator=[torch.Generator().manual_seed(0)], output_type="np",
).images
np.save({output!r}, images)
"""


@pytest.mark.parametrize(("stored", "near"), [(torch.float32, 1e-5), (torch.float16, 1e-2)])
def test_diffusers_loads_the_folder_where_this_package_is_not(tmp_path, stored, near):
    pipeline = made()[0].to(stored)
    save_pipeline(pipeline, tmp_path / "model")
    pipeline.to(torch.float32)
    picture("red").save(tmp_path / "reference.png")
    code = ALONE.format(
        root=str(Path(__file__).parents[3]),
        folder=str(tmp_path / "model"),
        reference=str(tmp_path / "reference.png"),
        output=str(tmp_path / "images.npy"),
    )
    # An editable installation is found by a hook of `site`, which -S leaves out.
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {**os.environ, "PYTHONPATH": packages, "HF_MODULES_CACHE": str(tmp_path / "modules")}
    run = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    expected = drawn(pipeline, PROMPTS[:1], numbers=(0,), text_scale=7.5, image_scale=1.5)
    assert apart(np.load(tmp_path / "images.npy"), expected) < near
    with pytest.raises(ValueError, match="trust_remote_code"):
        type(pipeline).__bases__[0].from_pretrained(tmp_path / "model")
    text = "".join(file.read_text() for file in (tmp_path / "model").rglob("*.json"))
    assert "models." not in json.dumps(text).replace("diffusion_models.", "")


def test_bundled_code_imports_nothing_of_ours():
    for module in ("subject_pipeline", "subject_unet", "subject_modules"):
        source = bundled(module)
        compile(source, module, "exec")
        assert "models.subject_diffusion" not in source
        assert "import models" not in source


def test_options_come_back_from_json():
    for options in (Options(), Options(box_coordinates=None, attention_cells=(1,)).legacy()):
        from dataclasses import asdict

        assert options_of(json.loads(json.dumps(asdict(options)))) == options


def test_places_are_on_the_canvas():
    for count in (1, 2, 3, 5):
        assert checked(usual_boxes(count), count) == usual_boxes(count)
    boxes = [random_box(np.random.default_rng(seed)) for seed in range(300)]
    assert boxes == [random_box(np.random.default_rng(seed)) for seed in range(300)]
    for box in boxes:
        checked([box], 1)
        assert 0.4 < box[2] - box[0] < 0.56
    with pytest.raises(ValueError, match="0 subjects"):
        usual_boxes(0)
