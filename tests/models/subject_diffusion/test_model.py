# SPDX-License-Identifier: Apache-2.0
import re
from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig
from transformers import CLIPVisionModelWithProjection as Tower

from models.subject_diffusion.condition_drop import Dropped
from models.subject_diffusion.model import SubjectDiffusion
from models.subject_diffusion.options import AttentionLoss, BoxCoordinates, Options
from models.subject_diffusion.subject_encoder import SubjectEncoder
from tests.models.subject_diffusion.tiny import model_of, references_of, tokenizer_of, unet_of

PROMPTS = (["a cat and a dog in the snow", "a mug"], [["cat", "dog"], ["mug"]])
NOISE = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(9))
TIME = torch.tensor([100, 900])


def predicted(model, references, drop=None):
    told = model.conditions(model.template.encode(*PROMPTS), references, 16, 16, drop)
    return model(NOISE, TIME, told)


def test_the_census_at_full_size():
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64,
            cross_attention_dim=1024,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
        )
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408,
                hidden_size=1024,
                intermediate_size=4096,
                num_hidden_layers=23,
                num_attention_heads=16,
                max_position_embeddings=77,
            )
        )
        tower = Tower(
            CLIPVisionConfig(
                hidden_size=1280,
                intermediate_size=5120,
                num_hidden_layers=32,
                num_attention_heads=16,
                patch_size=14,
                projection_dim=1024,
            )
        )
        # A placeholder that the small tokenizer has as one word; the table of words is Stable Diffusion's.
        options = Options(placeholder="robot")
        encoder = SubjectEncoder(tower)
        model = SubjectDiffusion(unet, text, tokenizer_of(), encoder, options)
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    assert sum(trained.values()) == 582_049_632
    listed = re.compile(
        r"unet\..*(attn2\.to_[kv]\.|\.fuser\.)|unet\.conv_in\.|text_encoder\.|projector\.|grounding\."
    )
    assert all(listed.match(name) for name in trained)
    assert (encoder.patches, encoder.patch_width) == (256, 1280)


@torch.no_grad()
def test_untrained_it_draws_what_the_base_does_but_for_the_words():
    model = model_of()
    prompts, references = model.template.encode(*PROMPTS), references_of(model)
    told = model.conditions(prompts, references, 16, 16)
    base = unet_of()(NOISE, TIME, told.states_BLD).sample
    assert (model(NOISE, TIME, told) - base).abs().max() <= 1e-6


@torch.no_grad()
def test_a_subject_that_is_not_there_is_read_by_nobody():
    model = opened(model_of())
    references = references_of(model)
    expected = predicted(model, references)
    for values in (references.cls_BKE, references.patches_BKPV, references.box_BK4):
        values[1, 1] = float("nan")
    with torch.enable_grad():
        found = predicted(model, references)
        found.square().mean().backward()
    assert torch.equal(found, expected)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def opened(model):
    """As after training: gates are open, the map has weights."""
    torch.manual_seed(8)
    for name, parameter in model.unet.named_parameters():
        if "alpha_" in name:
            torch.nn.init.constant_(parameter, 1.0)
    torch.nn.init.normal_(model.unet.conv_in.weight[:, -1:], std=0.1)
    return model


@torch.no_grad()
def test_every_reference_and_every_box_counts():
    model = opened(model_of())
    references = references_of(model)
    expected = predicted(model, references)
    for name in ("cls_BKE", "patches_BKPV", "box_BK4"):
        swapped = replace(references, **{name: getattr(references, name).flip(1)})
        found = predicted(model, swapped)
        assert (found[0] - expected[0]).abs().max() > 1e-5, name


@torch.no_grad()
@pytest.mark.parametrize("part", ["text", "location", "subjects"])
def test_what_is_dropped_makes_no_difference_any_more(part):
    model = opened(model_of())
    prompts, one, other = model.template.encode(*PROMPTS), references_of(model), references_of(model, seed=6)
    no, yes = torch.tensor([False, False]), torch.tensor([True, False])
    drop = Dropped(**{"text": no, "location": no, "subjects": no, part: yes})
    first, second = (model.conditions(prompts, some, 16, 16, drop) for some in (one, other))
    values = {"text": "states_BLD", "location": "map_B1HW", "subjects": "tokens_BSD"}
    for name, field in values.items():
        same = torch.equal(getattr(first, field)[0], getattr(second, field)[0])
        assert same == (name == part), name
        assert not torch.equal(getattr(first, field)[1], getattr(second, field)[1])
    if part == "text":
        assert torch.equal(first.states_BLD[0], model.conditioner.null_states()[0])
    if part == "location":
        assert not first.map_B1HW[0].any()


@torch.no_grad()
def test_dropped_subjects_are_learnt_or_zeros():
    no, yes = torch.tensor([False, False]), torch.tensor([True, False])
    tokens = {}
    for options in (Options(), Options().legacy()):
        model = model_of(options)
        prompts = model.template.encode(*PROMPTS)
        told = model.conditions(prompts, references_of(model), 16, 16, Dropped(no, no, yes))
        tokens[options.zero_tokens] = told.tokens_BSD
    assert tokens[False][0].any()
    assert not tokens[True][0].any()
    assert torch.equal(tokens[True][1], tokens[False][1])


ABLATIONS = {
    "c": Options(location_control=False),
    "d": Options(box_coordinates=None),
    "e": Options(adapter=False),
    "f": Options(attention_loss=AttentionLoss.none),
    "g": Options(cls_fusion=False),
    "text encoder": Options(train_text_encoder=False),
}


@pytest.mark.parametrize("row", ABLATIONS)
def test_every_ablation_trains_what_it_has_and_lacks_what_it_lacks(row):
    model = model_of(ABLATIONS[row])
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any(name.startswith("unet.conv_in.") for name in names) == (row != "c")
    assert any(".fuser." in name for name in names) == (row != "e")
    assert any(name.startswith("grounding.") for name in names) == (row != "e")
    assert any(name.startswith("projector.") for name in names) == (row != "g")
    assert any(name.startswith("text_encoder.") for name in names) == (row != "text encoder")
    predicted(model, references_of(model)).square().mean().backward()


@torch.no_grad()
def test_when_boxes_are_told():
    def differs(choice):
        model = opened(model_of(Options(box_coordinates=choice, location_control=False)))
        one = references_of(model)
        other = replace(one, box_BK4=one.box_BK4 * 0.9)
        difference = (predicted(model, one) - predicted(model, other)).abs().amax((1, 2, 3))
        return (difference > 1e-6).tolist()

    # The first sample has two subjects, the second one.
    assert differs(BoxCoordinates.always) == [True, True]
    assert differs(BoxCoordinates.multi_only) == [True, False]
    assert differs(None) == [False, False]
