# SPDX-License-Identifier: Apache-2.0
"""The whole method inside of real pipelines, without trained weights."""

from dataclasses import replace
from hashlib import sha256

import pytest
import torch
from peft import LoraConfig
from PIL import Image

from models.consistency.borrowed import borrowed
from models.consistency.dco.adapters import adapters, filled, set_strength, without
from models.consistency.dco.captions import BadCaption, renamed, said_of
from models.consistency.dco.dco import Dco
from models.consistency.dco.options import Options
from models.consistency.dco.rows import begun_rows, with_words
from models.consistency.dco.tuning import ADAPTER, Latents, Tuning, tuned
from models.consistency.latents import Noise, encoded_pictures
from models.consistency.method import Subject
from models.consistency.state import BadState, State
from models.consistency.text import texts_of
from tests.models.consistency.tiny import SAMPLING, sd_pipe, stock, xl_pipe

SAMPLING = replace(SAMPLING, steps=4)
PICTURES = tuple(Image.new("RGB", (80, 64), colour) for colour in ("red", "blue", "green"))
CAT = Subject(words=("cat",), pictures=PICTURES)
PROMPTS, SEEDS = ["a cat in the snow", "a cat on the beach"], [3, 5]
SHORT = Options(steps=3, rank=4, lr=1e-2, token_lr=1e-2, prior_pictures=2)


@pytest.fixture(scope="module", params=[xl_pipe, sd_pipe], ids=["xl", "sd"])
def pipe(request):
    return request.param()


@pytest.fixture(scope="module")
def state(pipe):
    return Dco(SHORT).fit(pipe, CAT, SAMPLING)


def drawn(pipe, state, options=SHORT, sampling=SAMPLING, prompts=PROMPTS, **more):
    method = Dco(options)
    return method.generate(pipe, CAT, state, prompts, SEEDS[: len(prompts)], sampling, **more), method


def plain(pipe, sampling=SAMPLING, prompts=PROMPTS):
    return stock(pipe, prompts, SEEDS[: len(prompts)], sampling)


def apart(one, other):
    return (one - other).abs().amax((1, 2, 3))


def hashes(pipe):
    names = [name for name in ("unet", "vae", "text_encoder", "text_encoder_2") if hasattr(pipe, name)]
    weights = {name: getattr(pipe, name).state_dict() for name in names}
    return {
        (name, key): sha256(each.float().numpy().tobytes()).hexdigest()
        for name, state in weights.items()
        for key, each in state.items()
    }


# --- drawing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_without_consistency_it_is_the_untuned_pipeline_bit_for_bit(pipe, state, guidance):
    sampling = replace(SAMPLING, guidance=guidance)
    found, method = drawn(pipe, state, replace(SHORT, consistency=0.0), sampling)
    assert torch.equal(found, plain(pipe, sampling))
    assert method.rows == (2 if guidance > 1 else 1) * 2 * 4


def test_consistency_costs_one_row_more(pipe, state):
    found, method = drawn(pipe, state)
    assert method.rows == 3 * 2 * 4
    assert apart(found, plain(pipe)).min() > 1e-3


def untouched(pipe):
    """A state that changes nothing: its word is the noun's row, its low-rank weights add nothing."""
    rows = begun_rows(pipe, "cat")
    with adapters(pipe.unet, {ADAPTER: 4}) as parameters:
        lora = {f"lora.{name}": each.detach().clone() for name, each in parameters[ADAPTER].items()}
    learnt = {f"rows.{name}": row.detach() for name, row in rows.items()}
    return State("dco", Dco(SHORT)._about(pipe, "cat"), {**lora, **learnt})


@pytest.mark.parametrize("consistency", [0.5, 3.0, 8.0])
def test_an_untuned_state_guides_as_the_pipeline_does_whatever_the_weight(pipe, consistency):
    found, _ = drawn(pipe, untouched(pipe), replace(SHORT, consistency=consistency))
    assert apart(found, plain(pipe)).max() < 2e-3


def test_guidance_is_linear_in_its_weight(pipe, state):
    """In the first step; later ones begin elsewhere."""
    sampling = replace(SAMPLING, steps=1)
    one, two, four = (
        drawn(pipe, state, replace(SHORT, consistency=each), sampling)[0] for each in (1.0, 2.0, 4.0)
    )
    assert torch.allclose(four - two, 2 * (two - one), atol=1e-3)


def test_with_both_weights_one_it_is_the_tuned_prediction_alone(pipe, state):
    sampling = replace(SAMPLING, guidance=1.0)
    found, _ = drawn(pipe, state, replace(SHORT, consistency=1.0), sampling)
    own, _ = drawn(pipe, state, replace(SHORT, consistency=None), sampling)
    assert apart(found, own).max() < 1e-3


def test_the_tuned_models_own_guidance_is_something_else(pipe, state):
    own, method = drawn(pipe, state, replace(SHORT, consistency=None))
    assert method.rows == 2 * 2 * 4
    for weight in (SAMPLING.guidance, 0.0):
        assert apart(own, drawn(pipe, state, replace(SHORT, consistency=weight))[0]).min() > 1e-4


def test_a_negative_prompt_and_a_rescale(pipe, state):
    sampling = replace(SAMPLING, negative="a dog", more={"guidance_rescale": 0.5})
    found, _ = drawn(pipe, state, replace(SHORT, consistency=0.0), sampling)
    assert torch.equal(found, plain(pipe, sampling))
    assert torch.isfinite(drawn(pipe, state, SHORT, sampling)[0]).all()


# --- what is learnt -----------------------------------------------------------------------------------------


def tuning_of(pipe, options, rows, lora, said=None):
    said = said or said_of(3, "cat", (), "<subject>" if rows else None)
    mean, std = encoded_pictures(pipe, PICTURES, 128, 128)
    with torch.no_grad():
        base, words = texts_of(pipe, said.base, 128, 128), texts_of(pipe, said.tuned, 128, 128)
    return Tuning(pipe, options, Noise(pipe), Latents(mean, std), said, base, words, rows, lora)


@pytest.fixture
def tuning():
    pipe = xl_pipe()
    with borrowed(pipe) as ours, adapters(ours.unet, {ADAPTER: 4}) as parameters:
        rows = begun_rows(ours, "cat")
        with with_words(ours, ["<subject>"], rows):
            for each in (*parameters[ADAPTER].values(), *rows.values()):
                each.requires_grad_()
            yield tuning_of(ours, SHORT, rows, parameters[ADAPTER])


def test_it_begins_at_log_two_with_half_of_betas_gradient(tuning):
    draw = tuning.drawn(torch.Generator().manual_seed(0), tuning.latents)
    # Of the same prompt encoded alone and with others the last bits differ, and beta makes them larger.
    loss = tuning.loss(draw)
    assert loss.item() == pytest.approx(0.6931472, abs=3e-4)
    for beta in (1.0, 1000.0, 2000.0):
        same = replace(replace_options(tuning, beta=beta), rows={}, tuned=tuning.base)
        assert same.loss(draw).item() == pytest.approx(0.6931472, abs=1e-6)
    loss.backward()
    ours = {name: each.grad.clone() for name, each in tuning.lora.items()}
    for name, grad in ours.items():
        assert (grad.abs().max() == 0) == (".lora_A." in name), name
    for each in (*tuning.lora.values(), *tuning.rows.values()):
        each.grad = None
    denoising = replace_options(tuning, beta=None)
    denoising.loss(draw).backward()
    for name, each in tuning.lora.items():
        assert torch.allclose(ours[name], 500 * each.grad, rtol=1e-3, atol=1e-4)


def replace_options(tuning, **changes):
    return replace(tuning, options=replace(tuning.options, **changes))


def test_without_beta_it_is_plain_denoising(tuning):
    draw = tuning.drawn(torch.Generator().manual_seed(0), tuning.latents)
    with torch.no_grad():
        clean = tuning.latents.mean[draw.picture_B] + tuning.latents.std[draw.picture_B] * draw.posterior_BCHW
        noisy = tuning.noise.added(clean, draw.noise_BCHW, draw.time_B)
        texts = tuning.tuned.rows(draw.picture_B.tolist())
        predicted = texts.predicted(tuning.pipe.unet, noisy, draw.time_B)
        wanted = ((predicted - draw.noise_BCHW) ** 2).mean()
        assert replace_options(tuning, beta=None).loss(draw).item() == pytest.approx(wanted.item(), rel=1e-4)


def test_offset_noise_is_part_of_the_target(tuning):
    plain_draw = tuning.drawn(torch.Generator().manual_seed(0), tuning.latents)
    offset = replace_options(tuning, offset_noise=0.1).drawn(torch.Generator().manual_seed(0), tuning.latents)
    change = offset.noise_BCHW - plain_draw.noise_BCHW
    assert change.std((2, 3)).max() < 1e-6
    assert change.abs().max() > 1e-3
    wanted = tuning.noise.target(tuning.latents.mean[:1], offset.noise_BCHW, offset.time_B)
    assert torch.equal(wanted, offset.noise_BCHW)


def test_rows_keep_their_length_and_old_words_theirs(tuning):
    norms = {name: each.norm().item() for name, each in tuning.rows.items()}
    before = {name: each.detach().clone() for name, each in tuning.rows.items()}
    seen = []
    tuned(
        tuning, lambda *_: None, lambda _: seen.append({n: r.norm().item() for n, r in tuning.rows.items()})
    )
    assert len(seen) == 3
    assert all(each == pytest.approx(norms, rel=1e-5) for each in seen)
    assert all((each != before[name]).any() for name, each in tuning.rows.items())


def margin(beta):
    """By which the tuned model is better in the end, on draws that are always the same."""
    pipe = sd_pipe()
    with borrowed(pipe) as ours, adapters(ours.unet, {ADAPTER: 4}) as parameters:
        options = replace(SHORT, beta=beta, steps=60, token=None, lr=5e-3)
        some = tuning_of(ours, options, {}, parameters[ADAPTER])
        tuned(some, lambda *_: None)
        generator = torch.Generator().manual_seed(9)
        draws = [some.drawn(generator, some.latents) for _ in range(30)]

        @torch.no_grad()
        def error():
            found = [
                some.errors(each, some.base.rows(each.picture_B.tolist()), some.latents) for each in draws
            ]
            return torch.cat(found).mean().item()

        after = error()
        with without(ours.unet, {ADAPTER: 1.0}):
            return error() - after


def test_a_larger_beta_stays_closer():
    assert margin(20.0) > margin(2000.0) > 0


@pytest.mark.parametrize(
    "options",
    [
        SHORT,
        SHORT.style(),
        SHORT.dreambooth(),
        SHORT.dreambooth(prior=True),
        SHORT.textual_inversion(),
        replace(SHORT, batch=2, reduction="batch", min_snr=5.0, gradient_checkpointing=True),
    ],
    ids=["dco", "style", "dreambooth", "prior", "inversion", "more"],
)
def test_every_setting_learns_draws_and_leaves_the_pipeline_as_it_was(options):
    pipe = xl_pipe()
    options = replace(options, steps=2, rank=min(4, options.rank))
    before, weights, pictures = dict(pipe.__dict__), hashes(pipe), plain(pipe)
    before = dict(pipe.__dict__)
    chance = torch.get_rng_state()
    method = Dco(options)
    found = method.fit(pipe, CAT, SAMPLING)
    latents = method.generate(pipe, CAT, found, PROMPTS, SEEDS, SAMPLING)
    assert torch.isfinite(latents).all()
    assert apart(latents, pictures).min() > 1e-4
    assert hashes(pipe) == weights
    assert pipe.__dict__ == before
    assert all(each.requires_grad for each in pipe.unet.parameters())
    assert not pipe.text_encoder.get_input_embeddings()._forward_hooks
    assert torch.equal(torch.get_rng_state(), chance)
    assert torch.equal(plain(pipe), pictures)
    assert method.cost().subject_bytes == found.bytes > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_words_are_learnt_in_half_precision_too(dtype):
    pipe = xl_pipe().to(dtype=dtype)
    first = {name: each.detach().clone() for name, each in begun_rows(pipe, "cat").items()}
    state = Dco(SHORT).fit(pipe, CAT, SAMPLING)
    for name, before in first.items():
        assert state.tensors[f"rows.{name}"].dtype == torch.float32
        assert (state.tensors[f"rows.{name}"] != before).any()
    assert torch.isfinite(drawn(pipe, state)[0]).all()


# --- states and merging -------------------------------------------------------------------------------------


def test_states_survive_the_disk(pipe, state, tmp_path):
    state.save(tmp_path)
    assert torch.equal(drawn(pipe, State.load(tmp_path))[0], drawn(pipe, state)[0])


@pytest.fixture(scope="module")
def style(pipe):
    options = replace(SHORT.style(), rank=2, steps=2, lr=1e-2)
    return Dco(options).fit(pipe, Subject(words=("cat",), pictures=PICTURES[:1]), SAMPLING)


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


# --- words --------------------------------------------------------------------------------------------------


def test_a_new_word_is_one_token_with_the_nouns_row_at_first():
    pipe = xl_pipe()
    with borrowed(pipe) as ours, torch.no_grad():
        before = texts_of(ours, ["a cat in the snow"], 128, 128)
        rows = begun_rows(ours, "cat")
        with with_words(ours, ["<subject>"], rows):
            ids = ours.tokenizer("a <subject> in the snow").input_ids
            assert len(ids) == len(ours.tokenizer("a cat in the snow").input_ids)
            found = texts_of(ours, ["a <subject> in the snow"], 128, 128)
            assert torch.equal(found.states_BLD, before.states_BLD)
            assert torch.equal(found.added["text_embeds"], before.added["text_embeds"])
            assert torch.equal(texts_of(ours, ["a cat in the snow"], 128, 128).states_BLD, before.states_BLD)
            with pytest.raises(ValueError, match="already"), with_words(ours, ["<|endoftext|>"], rows):
                pass
    assert len(pipe.tokenizer("a <subject>").input_ids) > 4


def test_a_noun_of_several_pieces_has_their_mean():
    pipe = sd_pipe()
    ids = pipe.tokenizer("zorgblat", add_special_tokens=False).input_ids
    table = pipe.text_encoder.get_input_embeddings().weight
    assert torch.allclose(begun_rows(pipe, "zorgblat")["text_encoder"][0], table[ids].mean(0))


def test_captions():
    said = said_of(2, "cat", ("a cat from above", "my Cat sleeps"), "<subject>")
    assert said.tuned == ("a <subject> from above", "my <subject> sleeps")
    assert said.base == ("a cat from above", "my Cat sleeps")
    assert said_of(2, "cat", (), None).tuned == ("a photo of a cat",) * 2
    assert renamed("my red cat", "red cat", "x") == "my x"
    for wrong in ("a dog", "a cat and a cat"):
        with pytest.raises(BadCaption, match="must be there once"):
            renamed(wrong, "cat", "x")
    with pytest.raises(BadCaption, match="1 captions for 2 pictures"):
        said_of(2, "cat", ("a cat",), None)


@pytest.mark.parametrize("subject", [Subject(words=("cat",)), replace(CAT, words=("cat", "dog"))])
def test_one_subject_and_pictures_of_it_are_needed(pipe, subject):
    with pytest.raises(ValueError, match="one word, and pictures"):
        Dco(SHORT).fit(pipe, subject, SAMPLING)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rank": -1}, {"rank": 0, "token": None}, {"beta": 0.0}])
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)
