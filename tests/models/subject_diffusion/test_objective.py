# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from diffusers import DDPMScheduler

from models.subject_diffusion.condition_drop import Dropped
from models.subject_diffusion.objective import Noisy, Objective
from models.subject_diffusion.options import AttentionLoss, Options
from tests.models.subject_diffusion.tiny import model_of, references_of

PROMPTS = (["a cat and a dog", "a mug on the beach"], [["cat", "dog"], ["mug"]])


def scheduler(prediction="epsilon"):
    return DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction
    )


def noisy_of(model, dropped=((False, False), (False, False), (False, False)), seed=0):
    generator = torch.Generator().manual_seed(seed)
    latents, noise = torch.randn(2, 2, 4, 16, 16, generator=generator)
    masks = torch.zeros(2, 2, 32, 32, dtype=torch.bool)
    masks[0, 0, 4:20, 2:14] = masks[0, 1, 10:30, 18:30] = masks[1, 0, 8:24, 8:24] = True
    return Noisy(
        latents_BCHW=latents,
        noise_BCHW=noise,
        time_B=torch.tensor([100, 700]),
        prompts=model.template.encode(*PROMPTS),
        references=references_of(model),
        mask_BKSS=masks,
        dropped=Dropped(*(torch.tensor(each) for each in dropped)),
    )


def options(**changes):
    return Options(**{"attention_cells": (1, 2), **changes})


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_error_is_that_of_what_the_base_predicts(prediction):
    model = model_of(options(attention_weight=0.0))
    objective = Objective(model, scheduler(prediction), None)
    noisy = noisy_of(model)
    losses = objective(noisy)
    told = model.conditions(noisy.prompts, noisy.references, 16, 16, noisy.dropped)
    seen = objective.scheduler.add_noise(noisy.latents_BCHW, noisy.noise_BCHW, noisy.time_B)
    velocity = objective.scheduler.get_velocity(noisy.latents_BCHW, noisy.noise_BCHW, noisy.time_B)
    wanted = noisy.noise_BCHW if prediction == "epsilon" else velocity
    error = (model(seen, noisy.time_B, told) - wanted).square().flatten(1).mean(1)
    assert torch.allclose(losses.denoising_B, error, atol=1e-5)
    assert losses.total.item() == pytest.approx(float(error.mean()), abs=1e-5)


def test_a_base_that_predicts_something_else():
    with pytest.raises(ValueError, match="sample"):
        Objective(model_of(), scheduler("sample"), None)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_never_weighs_a_timestep_more(prediction):
    model = model_of(options(attention_weight=0.0))
    plain, capped = (Objective(model, scheduler(prediction), gamma) for gamma in (None, 5.0))
    noisy = noisy_of(model)
    losses = capped(noisy)
    assert torch.equal(losses.denoising_B, plain(noisy).denoising_B)
    alpha = capped.scheduler.alphas_cumprod[noisy.time_B]
    snr = alpha / (1 - alpha)
    weight = snr.clamp(max=5) / (snr if prediction == "epsilon" else snr + 1)
    assert losses.total.item() == pytest.approx(float((weight * losses.denoising_B).mean()), rel=1e-5)


def test_attention_counts_with_its_weight():
    model = model_of(options(attention_weight=0.5))
    losses = Objective(model, scheduler(), None)(noisy_of(model))
    assert losses.attention != 0
    expected = float(losses.denoising_B.mean() + 0.5 * losses.attention)
    assert losses.total.item() == pytest.approx(expected, rel=1e-5)


def test_samples_without_text_have_no_attention_loss():
    model = model_of(options())
    objective = Objective(model, scheduler(), None)
    both = ((True, True), (False, False), (False, False))
    assert objective(noisy_of(model, both)).attention == 0
    first, second = (
        objective(noisy_of(model, ((one, two), (False, False), (False, False)))).attention
        for one, two in ((True, False), (False, True))
    )
    assert first + second == pytest.approx(float(objective(noisy_of(model)).attention), rel=1e-4)


def test_no_map_is_caught_without_an_attention_loss():
    model = model_of(options(attention_loss=AttentionLoss.none))
    processors = {type(p).__name__ for p in model.unet.attn_processors.values()}
    assert Objective(model, scheduler(), None)(noisy_of(model)).attention == 0
    assert {type(p).__name__ for p in model.unet.attn_processors.values()} == processors


def test_a_model_learns_one_sample_by_heart():
    torch.manual_seed(0)
    model = model_of(options(attention_weight=1.0)).train()
    objective, noisy = Objective(model, scheduler(), None), noisy_of(model)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    record = []
    for _ in range(60):
        losses = objective(noisy)
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
        record.append((float(losses.denoising_B.mean()), float(losses.attention)))
    gates = [abs(float(p)) for name, p in model.unet.named_parameters() if ".alpha_" in name]
    assert record[-1][0] < 0.8 * record[0][0]
    assert record[-1][1] < -0.005 < record[0][1]
    assert all(gate > 0 for gate in gates)


def test_gradient_checkpointing_changes_no_gradient():
    def gradients(checkpointing):
        model = model_of(options(attention_weight=0.5)).train()
        if checkpointing:
            model.unet.enable_gradient_checkpointing()
            model.text_encoder.activation_checkpointing_enable()
        Objective(model, scheduler(), None)(noisy_of(model)).total.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    plain, checkpointed = gradients(False), gradients(True)
    assert plain.keys() == checkpointed.keys()
    assert all(torch.allclose(plain[name], checkpointed[name], atol=1e-6) for name in plain)
