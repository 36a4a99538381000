# SPDX-License-Identifier: Apache-2.0
"""What a state goes with, and what is told of one that is damaged."""

import json

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline

from models.consistency.state import BadState, State, backbone, text_width
from tests.models.consistency.tiny import sd_pipe, xl_pipe

ABOUT = {"words": ["cat"], "size": [64, 64], "rate": 0.5, "nested": {"one": 1, "other": [0.1, 0.2]}}


def state(**changes):
    return State("dco", {**ABOUT, **changes}, {"rows": torch.ones(2, 3)})


@pytest.mark.parametrize("content", ["[]", "{}", '{"method": 3}', "null", "{", '"dco"'])
def test_a_file_that_is_no_state(tmp_path, content):
    state().save(tmp_path)
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(BadState, match="holds no state of a method"):
        State.load(tmp_path)


def test_it_comes_back_and_is_checked(tmp_path):
    state().save(tmp_path)
    found = State.load(tmp_path)
    found.check("dco", {**ABOUT, "words": ["Cat"], "rate": 0.501})
    with pytest.raises(BadState, match="not of oneactor"):
        found.check("oneactor", {})
    for changes, told in (
        ({"size": [64, 32]}, r"size \[64, 64\]"),
        ({"rate": 0.6}, r"rate 0\.5"),
        ({"nested": {"one": 2, "other": [0.1, 0.2]}}, r"nested\.one 1"),
        ({"nested": {"one": 1, "other": [0.1, 0.3]}}, r"nested\.other"),
        ({"words": ["cat", "dog"]}, "words"),
        ({"new": 1}, "new None"),
    ):
        with pytest.raises(BadState, match=told):
            found.check("dco", {**ABOUT, **changes})


def test_tensors_are_there_or_it_is_damaged():
    state().holds(rows=2)
    for wrong in (state(words=[]), state(words=None), state(words=[3])):
        with pytest.raises(BadState, match="of which words"):
            wrong.holds()
    for wanted in ({"rows": 1}, {"other": 2}):
        with pytest.raises(BadState, match="damaged"):
            state().holds(**wanted)


def test_tensors_of_another_models_width_are_told():
    wide = text_width(xl_pipe())
    State("oneactor", ABOUT, {"rows": torch.ones(1, wide)}).holds(wide, rows=2)
    with pytest.raises(BadState, match=f"rows is 3 wide, the model's texts {wide}"):
        state().holds(wide, rows=2)


def test_a_model_is_known_whatever_is_done_with_it():
    pipe = xl_pipe()
    controlnet = ControlNetModel.from_unet(pipe.unet, conditioning_channels=3)
    controlled = StableDiffusionXLControlNetPipeline(**pipe.components, controlnet=controlnet)
    made = State("dco", json.loads(json.dumps({"backbone": backbone(pipe)})))
    made.check("dco", {"backbone": backbone(controlled)})
    made.check("dco", {"backbone": backbone(pipe.to(torch.bfloat16))})
    other = xl_pipe()
    torch.nn.init.normal_(other.unet.conv_in.weight)
    for wrong in (other, sd_pipe()):
        with pytest.raises(BadState, match="backbone"):
            made.check("dco", {"backbone": backbone(wrong)})
