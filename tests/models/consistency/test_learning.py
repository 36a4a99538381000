# SPDX-License-Identifier: Apache-2.0
"""What all methods that learn have in common: beside loaded adapters, and with numbers that are none."""

from dataclasses import replace

import pytest
import torch
from peft import LoraConfig

from models.consistency.cones2.cones2 import Cones2
from models.consistency.cones2.options import Options as Cones
from models.consistency.dco.dco import Dco
from models.consistency.oneactor.oneactor import OneActor
from models.consistency.oneactor.options import Options as Actor
from tests.models.consistency.consistory.test_adapters import with_pictures
from tests.models.consistency.dco.subjects import CAT, PROMPTS, SAMPLING, SEEDS, SHORT, apart, drawn, plain
from tests.models.consistency.tiny import WIDTH, sd_pipe, stock, xl_pipe

METHODS = {
    "cones2": (Cones2, Cones(steps=2, lr=1e-3)),
    "dco": (Dco, SHORT),
    "dreambooth-prior": (Dco, SHORT.dreambooth(prior=True)),
    "oneactor": (OneActor, Actor(steps=2, auxiliaries=2, rows=1)),
}


@pytest.mark.parametrize("name", METHODS)
def test_an_ip_adapter_has_no_part_in_learning(name):
    build, options = METHODS[name]
    expected = build(options).fit(xl_pipe(), CAT, SAMPLING)
    pipe = with_pictures(xl_pipe())
    embeds = torch.randn(2, 1, WIDTH, generator=torch.Generator().manual_seed(4))
    sampling = replace(SAMPLING, more={"ip_adapter_image_embeds": [embeds]})
    before = stock(pipe, PROMPTS, SEEDS, sampling)
    found = build(options).fit(pipe, CAT, SAMPLING)
    assert all(torch.equal(found.tensors[key], value) for key, value in expected.tensors.items())
    assert torch.equal(stock(pipe, PROMPTS, SEEDS, sampling), before)
    images = build(options).generate(pipe, CAT, found, PROMPTS, SEEDS, sampling)
    assert apart(images, before).max() > 0


@pytest.mark.parametrize("name", METHODS)
def test_a_loss_that_is_no_number_ends_it(name):
    build, options = METHODS[name]
    more = {"token_lr": 1e30} if build is Dco else {}
    with pytest.raises(FloatingPointError, match="lower lr"):
        build(replace(options, lr=1e30, steps=6, **more)).fit(sd_pipe(), CAT, SAMPLING)


def test_latents_that_are_no_numbers_are_told():
    state = Dco(SHORT).fit(pipe := sd_pipe(), CAT, SAMPLING)
    state.tensors["rows.text_encoder"].fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="no numbers"):
        drawn(pipe, state, replace(SHORT, consistency=None))


@pytest.mark.parametrize("consistency", [3.0, None])
def test_adapters_that_are_switched_off_stay_so_and_do_not_matter(consistency):
    options = replace(SHORT, consistency=consistency)
    expected = Dco(options).fit(xl_pipe(), CAT, SAMPLING)
    pictures = drawn(xl_pipe(), expected, options)[0]
    pipe = xl_pipe()
    torch.manual_seed(3)
    some = LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    pipe.unet.add_adapter(some, "own")
    pipe.unet.disable_adapters()
    before = plain(pipe)
    found = Dco(options).fit(pipe, CAT, SAMPLING)
    assert all(
        torch.allclose(found.tensors[key], value, atol=1e-5) for key, value in expected.tensors.items()
    )
    assert apart(drawn(pipe, expected, options)[0], pictures).max() < 1e-3
    assert torch.equal(plain(pipe), before)
    pipe.unet.enable_adapters()
    assert apart(plain(pipe), before).min() > 1e-4


def test_nothing_of_adapters_is_left():
    pipe = xl_pipe()
    notes = {*pipe.unet.__dict__}
    drawn(pipe, Dco(SHORT).fit(pipe, CAT, SAMPLING))
    assert {*pipe.unet.__dict__} == notes
