# SPDX-License-Identifier: Apache-2.0
"""States on disk, together, and beside a user's own adapters."""

from dataclasses import replace

import pytest
import torch
from peft import LoraConfig

from models.consistency.dco.adapters import adapters, filled, set_strength
from models.consistency.dco.captions import BadCaption
from models.consistency.dco.dco import Dco
from models.consistency.state import BadState, State
from tests.models.consistency.dco.subjects import (
    CAT,
    SAMPLING,
    SHORT,
    apart,
    drawn,
    plain,
)
from tests.models.consistency.tiny import sd_pipe, xl_pipe


def test_states_survive_the_disk(pipe, state, tmp_path):
    state.save(tmp_path)
    assert torch.equal(drawn(pipe, State.load(tmp_path))[0], drawn(pipe, state)[0])


@pytest.mark.parametrize("consistency", [3.0, None])
def test_a_merge_is_a_sum_in_any_order(pipe, state, style, consistency):
    options = replace(SHORT, consistency=consistency)
    both = drawn(pipe, [state, style], options)[0]
    assert apart(both, drawn(pipe, [style, state], options)[0]).max() < 1e-3
    alone = drawn(pipe, [state, style], options, strengths=[1.0, 0.0])[0]
    assert apart(alone, drawn(pipe, state, options)[0]).max() < 1e-4
    assert apart(both, alone).min() > 1e-4
    none = drawn(pipe, [style], options, strengths=[0.0])[0]
    assert apart(none, plain(pipe)).max() < 1e-3


def test_subjects_are_learnt_together_and_drawn_together_or_alone():
    pipe, options = sd_pipe(), replace(SHORT.dreambooth(prior=True), steps=8)
    both = replace(CAT, words=("cat", "dog"), captions=("a cat", "a dog", "a dog on the beach"))
    state = Dco(options).fit(pipe, both, SAMPLING)
    assert (state.about["words"], state.about["called"]) == (["cat", "dog"], ["sks cat", "sks dog"])
    for prompt in ("a cat and a dog", "a dog at night", "a cat"):
        found, _ = drawn(pipe, state, options, prompts=[prompt])
        named = prompt.replace("cat", "sks cat").replace("dog", "sks dog")
        assert apart(found, plain(pipe, prompts=[named])).min() > 1e-4
    with pytest.raises(BadCaption, match="once"):
        drawn(pipe, state, options, prompts=["a bird"])


def test_subjects_learnt_apart_need_no_names_of_their_own(pipe, state):
    dog = Dco(SHORT).fit(pipe, replace(CAT, words=("dog",)), SAMPLING)
    assert dog.about["token"] == state.about["token"]
    other = State("dco", {**dog.about, "token": "<other>", "called": ["<other>"]}, dog.tensors)
    prompts = ["a cat and a dog in the snow"]
    alike, named = (drawn(pipe, [state, each], SHORT, prompts=prompts)[0] for each in (dog, other))
    assert torch.equal(alike, named)
    turned = drawn(pipe, [dog, state], SHORT, prompts=prompts)[0]
    assert apart(alike, turned).max() < 1e-3
    without = drawn(pipe, state, SHORT, prompts=prompts)[0]
    assert apart(alike, without).min() > 1e-4


def test_a_layer_adds_all_deltas(pipe, state, style):
    layer = next(name for name, module in pipe.unet.named_modules() if name.endswith("attn1.to_q"))
    weight = pipe.unet.get_submodule(layer).weight.detach().clone()
    deltas = []
    for each, rank in ((state, 4), (style, 2)):
        up, down = (each.tensors[f"lora.{layer}.lora_{half}.weight"] for half in ("B", "A"))
        assert down.shape[0] == rank
        deltas.append(up @ down)
    with adapters(pipe.unet, {"one": 4, "other": 2}) as parameters:
        for name, each in (("one", state), ("other", style)):
            filled(
                parameters[name],
                {n.removeprefix("lora."): t for n, t in each.tensors.items() if "lora." in n},
            )
        set_strength(pipe.unet, {"one": 1.0, "other": 0.5})
        given = torch.randn(5, weight.shape[1])
        with torch.no_grad():
            found = pipe.unet.get_submodule(layer)(given)
    assert torch.allclose(found, given @ (weight + deltas[0] + 0.5 * deltas[1]).T, atol=1e-5)


def test_the_untuned_model_keeps_a_users_adapters_with_their_weights():
    pipe = sd_pipe()
    torch.manual_seed(3)
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False), "theirs")
    pipe.unet.set_adapters(["theirs"], [0.7])
    before, modules = plain(pipe), [type(each) for each in pipe.unet.modules()]
    state = Dco(SHORT).fit(pipe, CAT, SAMPLING)
    assert torch.equal(plain(pipe), before)
    assert [type(each) for each in pipe.unet.modules()] == modules
    assert torch.equal(drawn(pipe, state, replace(SHORT, consistency=0.0))[0], before)
    assert apart(drawn(pipe, state)[0], before).min() > 1e-3
    assert pipe.unet.active_adapters() == ["theirs"]
    assert [*pipe.unet.peft_config] == ["theirs"]
    scalings = [dict(m.scaling) for m in pipe.unet.modules() if hasattr(m, "scaling")]
    assert scalings
    assert all(each == {"theirs": pytest.approx(0.7 * 8 / 2)} for each in scalings)


def test_states_of_something_else_are_refused(pipe, state):
    other = sd_pipe() if "text_encoder_2" in pipe.components else xl_pipe()
    with pytest.raises(BadState, match="backbone"):
        drawn(other, state)
    with pytest.raises(ValueError, match="needs a state"):
        drawn(pipe, None)
    with pytest.raises(BadCaption, match="0 times"):
        drawn(pipe, state, prompts=["a dog"])
    with pytest.raises(ValueError, match="of another model's layers"):
        filled({}, {"a": torch.zeros(1)})
