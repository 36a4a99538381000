# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from models.subject_diffusion.adapter import adapted
from models.subject_diffusion.options import Options
from models.subject_diffusion.predicting import attending
from tests.models.subject_diffusion.tiny import WIDTH, unet_of


def inputs(channels, seed=0):
    torch.manual_seed(seed)
    return torch.randn(2, channels, 16, 16), torch.tensor([10, 700]), torch.randn(2, 7, WIDTH)


def gates(unet):
    return [p for name, p in unet.named_parameters() if "alpha_" in name]


@pytest.mark.parametrize("linear", [False, True])
@torch.no_grad()
def test_untrained_it_computes_what_the_base_does_whatever_map_and_references_are(linear):
    base = unet_of(use_linear_projection=linear)
    unet = adapted(base, Options())
    latents, time, states = inputs(4)
    expected = base(latents, time, states).sample
    for seed in range(3):
        torch.manual_seed(seed)
        tokens, place = torch.randn(2, 8, WIDTH) * 10, torch.rand(2, 1, 16, 16)
        found = unet(torch.cat([latents, place], 1), time, states, **attending(tokens)).sample
        assert (found - expected).abs().max() <= 1e-6


def test_the_bases_weights_are_all_there_and_the_new_ones_are_told_apart():
    base, unet = unet_of(), adapted(unet_of(), Options())
    new = {name for name in unet.state_dict() if name not in base.state_dict()}
    assert new
    assert all(".fuser." in name for name in new)
    assert torch.equal(unet.conv_in.weight[:, :4], base.conv_in.weight)
    assert not unet.conv_in.weight[:, 4].any()
    assert torch.equal(unet.conv_in.bias, base.conv_in.bias)
    assert unet.config.in_channels == 5


def test_at_first_only_the_gates_have_a_gradient_and_then_all_of_the_adapter():
    unet = adapted(unet_of(), Options())
    latents, time, states = inputs(5)
    tokens = torch.randn(2, 8, WIDTH)
    optimiser = torch.optim.SGD(unet.parameters(), 0.1)

    def moved():
        optimiser.zero_grad()
        unet(latents, time, states, **attending(tokens)).sample.square().mean().backward()
        return {
            name
            for name, parameter in unet.named_parameters()
            if ".fuser." in name and parameter.grad is not None and parameter.grad.any()
        }

    first = moved()
    assert first == {name for name, _ in unet.named_parameters() if "fuser.alpha_" in name}
    optimiser.step()
    assert moved() == {name for name, _ in unet.named_parameters() if ".fuser." in name}


@torch.no_grad()
def test_open_gates_let_references_through_in_any_order_but_not_in_vain():
    unet = adapted(unet_of(), Options())
    for gate in gates(unet):
        gate.fill_(1.0)
    latents, time, states = inputs(5)
    tokens = torch.randn(2, 8, WIDTH)
    seen = unet(latents, time, states, **attending(tokens)).sample
    order = torch.randperm(8)
    shuffled = unet(latents, time, states, **attending(tokens[:, order])).sample
    assert (seen - shuffled).abs().max() <= 1e-5
    without = unet(latents, time, states).sample
    assert (seen - without).abs().max() > 1e-3
    zeros = unet(latents, time, states, **attending(torch.zeros_like(tokens))).sample
    assert (zeros - without).abs().max() > 1e-3


def test_without_adapter_and_map_it_is_the_base():
    unet = adapted(unet_of(), Options(adapter=False, location_control=False))
    assert unet.state_dict().keys() == unet_of().state_dict().keys()
    assert unet.config.in_channels == 4


def test_a_base_that_is_gated_already_is_refused():
    with pytest.raises(ValueError, match="gated"):
        adapted(adapted(unet_of(), Options()), Options())
