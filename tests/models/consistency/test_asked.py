# SPDX-License-Identifier: Apache-2.0
"""What people ask of methods from Python, and how it can be wrong."""

from dataclasses import replace

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline

from models.consistency.cones2.cones2 import Cones2
from models.consistency.cones2.layout import layout_of_boxes
from models.consistency.cones2.options import Options as Cones
from models.consistency.consistory.consistory import ConsiStory
from models.consistency.consistory.options import Options as Story
from models.consistency.dco.dco import Dco
from models.consistency.method import Subject
from models.consistency.oneactor.oneactor import OneActor
from models.consistency.oneactor.options import Options as Actor
from models.consistency.plain import Plain
from models.consistency.state import BadState
from tests.models.consistency.dco.subjects import CAT, PROMPTS, SAMPLING, SEEDS, SHORT, apart, drawn, plain
from tests.models.consistency.tiny import sd_pipe, xl_pipe

METHODS = {"plain": Plain, "consistory": ConsiStory, "cones2": Cones2, "dco": Dco, "oneactor": OneActor}


def test_words_are_no_string():
    with pytest.raises(ValueError, match="give a tuple, such as"):
        Subject(words="cat")


@pytest.fixture(scope="module")
def states():
    pipe = sd_pipe()
    learnt = {
        "cones2": Cones2(Cones(steps=1)).fit(pipe, CAT, SAMPLING),
        "dco": Dco(SHORT).fit(pipe, CAT, SAMPLING),
        "oneactor": OneActor(Actor(steps=1, auxiliaries=2, rows=1)).fit(pipe, CAT, SAMPLING),
    }
    return pipe, learnt


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("prompts", "seeds", "told"),
    [([], [], "at least one"), ("a cat", [1], "give a list"), (PROMPTS, [1], "1 seeds for 2 prompts")],
)
def test_prompts_and_seeds_that_do_not_go_together(states, name, prompts, seeds, told):
    pipe, learnt = states
    with pytest.raises(ValueError, match=told):
        METHODS[name]().generate(pipe, CAT, learnt.get(name), prompts, seeds, SAMPLING)


def test_states_of_several_subjects_are_composed(states):
    pipe, learnt = states
    alone = Cones2().generate(pipe, CAT, learnt["cones2"], PROMPTS, SEEDS, SAMPLING)
    assert torch.equal(Cones2().generate(pipe, CAT, [learnt["cones2"]], PROMPTS, SEEDS, SAMPLING), alone)
    with pytest.raises(BadState, match="one of oneactor, not of cones2"):
        Cones2().generate(pipe, CAT, [learnt["cones2"], learnt["oneactor"]], PROMPTS, SEEDS, SAMPLING)
    with pytest.raises(BadState, match="of another method"):
        ConsiStory().generate(pipe, CAT, learnt["dco"], PROMPTS, SEEDS, SAMPLING)


def test_a_state_of_a_model_with_other_attention_or_embeddings_is_told(states):
    pipe, learnt = states
    for module in (pipe.unet.mid_block, pipe.text_encoder):
        before = {name: each.clone() for name, each in module.state_dict().items()}
        for each in module.parameters():
            each.data.add_(each.std().nan_to_num() * torch.randn_like(each) * 0.5)
        for name in ("cones2", "dco", "oneactor"):
            with pytest.raises(BadState, match=r"backbone\.(attention|embeddings)"):
                METHODS[name]().generate(pipe, CAT, learnt[name], PROMPTS, SEEDS, SAMPLING)
        module.load_state_dict(before)
    Cones2().generate(pipe, CAT, learnt["cones2"], PROMPTS, SEEDS, SAMPLING)


def test_strengths_are_one_for_each_state(states):
    pipe, learnt = states
    with pytest.raises(ValueError, match="2 strengths for 1 states"):
        drawn(pipe, learnt["dco"], strengths=[1.0, 0.5])


def test_layers_that_are_skipped_are_skipped_of_learnt_words_too():
    pipe, skipping = xl_pipe(), replace(SAMPLING, more={"clip_skip": 1})
    options = replace(SHORT, token=None)
    style = Dco(options).fit(pipe, CAT, SAMPLING)
    found, _ = drawn(pipe, style, options, skipping, strengths=[0.0])
    assert apart(found, plain(pipe, skipping)).max() < 1e-4
    assert apart(found, plain(pipe)).max() > 1e-3


def test_repeated_steps_do_not_go_with_a_controlnet():
    pipe = xl_pipe()
    controlnet = ControlNetModel.from_unet(pipe.unet, conditioning_channels=3).eval()
    guided = StableDiffusionXLControlNetPipeline(**pipe.components, controlnet=controlnet)
    guided.set_progress_bar_config(disable=True)
    sampling = replace(SAMPLING, more={"image": torch.rand(2, 3, 64, 64)})
    layout = layout_of_boxes([(0.0, 0.0, 0.5, 1.0)])
    with pytest.raises(ValueError, match="recurrence does not go with a ControlNet"):
        Cones2().generate(guided, CAT, None, PROMPTS, SEEDS, sampling, layout=layout)


def test_braces_in_captions_are_what_they_are():
    pipe, captions = sd_pipe(), ("a {} and {x}", "{} {0}")
    state = Cones2(Cones(steps=1, captions=captions)).fit(pipe, CAT, SAMPLING)
    assert torch.isfinite(state.tensors["residual"]).all()


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        (Story, {"features_sigma": float("nan")}),
        (Story, {"dropout_seed": 2**63}),
        (Story, {"dropout_seed": -1}),
        (Actor, {"exclusion": -2.0}),
        (Cones, {"clip": -1.0}),
    ],
)
def test_numbers_that_make_no_sense_are_told(options, changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        options(**changes)
