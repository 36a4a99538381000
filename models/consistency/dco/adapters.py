# SPDX-License-Identifier: Apache-2.0
"""Low-rank changes of a UNet's attention that come and go, beside whatever adapters a user has loaded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from models.consistency.borrowed import seeded

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
_NOTES = {"_hf_peft_config_loaded", "peft_config"}
"""What adapters leave at a model."""
Adapters = dict[str, dict[str, nn.Parameter]]
"""Parameters by adapter and name."""


@contextmanager
def adapters(
    unet: Any, ranks: Mapping[str, int], seed: int = 0
) -> Iterator[dict[str, dict[str, nn.Parameter]]]:
    """New adapters on every attention layer, active beside those that are; afterwards they are gone.

    Args:
        unet: what they are put on.
        ranks: by name; a new adapter changes nothing yet.
        seed: of their first halves.

    Yields:
        Their parameters, float32, without gradient.
    """
    if not ranks:
        yield {}
        return
    from peft import LoraConfig

    had_any = bool(getattr(unet, "_hf_peft_config_loaded", False))
    notes = {name for name in _NOTES if name in unet.__dict__}
    state = {layer: _state_of(layer) for layer in _layers(unet)}
    wanted = [(each, each.requires_grad) for each in unet.parameters()]
    try:
        with seeded(seed), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")
            for name, rank in ranks.items():
                kind = {"target_modules": TARGETS, "init_lora_weights": "gaussian"}
                unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, **kind), name)
        for layer in _layers(unet):
            active, _, off = state.get(layer, ([], {}, False))
            # What its owner has switched off stays so; the layer itself has to be on for what is new.
            layer._disable_adapters = False
            layer.set_adapter([*([] if off else active), *ranks])
        parameters = {name: _parameters(unet, name) for name in ranks}
        for parameter in unet.parameters():
            parameter.requires_grad_(False)
        for some in parameters.values():
            for parameter in some.values():
                parameter.data = parameter.data.float()
        yield parameters
    finally:
        _remove(unet, ranks, had_any)
        for layer, (active, scaling, off) in state.items():
            layer.set_adapter(active)
            layer.scaling.update(scaling)
            layer._disable_adapters = off
        for name in _NOTES - notes:
            unet.__dict__.pop(name, None)
        for parameter, grad in wanted:
            parameter.requires_grad_(grad)


def _state_of(layer: Any) -> tuple[list[str], dict[str, float], bool]:
    """Its active adapters, how much each counts, and whether they are switched off."""
    return [*layer.active_adapters], dict(layer.scaling), bool(layer.disable_adapters)


def _remove(unet: Any, names: Mapping[str, int], had_any: bool) -> None:
    if not had_any:
        if getattr(unet, "_hf_peft_config_loaded", False):
            unet.unload_lora()
        return
    there = [name for name in names if name in unet.peft_config]
    if there:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Adapter .* was active which is now deleted")
            unet.delete_adapters(there)
    # Layers that nobody else's adapter is on are the plain ones again.
    for path, layer in [(path, each) for path, each in unet.named_modules() if hasattr(each, "base_layer")]:
        if not layer.scaling:
            parent, _, child = path.rpartition(".")
            setattr(unet.get_submodule(parent), child, layer.base_layer)


def _layers(unet: Any) -> list[Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [module for module in unet.modules() if isinstance(module, BaseTunerLayer)]


def _parameters(unet: Any, name: str) -> dict[str, nn.Parameter]:
    ending = f".{name}.weight"
    return {
        key.replace(ending, ".weight"): parameter
        for key, parameter in unet.named_parameters()
        if key.endswith(ending) and ".lora_" in key
    }


@torch.no_grad()
def filled(parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]) -> None:
    """Put saved weights in.

    Raises:
        ValueError: they are of another model.
    """
    if parameters.keys() != tensors.keys():
        raise ValueError("the saved low-rank weights are of another model's layers")
    if any(parameter.shape != tensors[name].shape for name, parameter in parameters.items()):
        raise ValueError("the saved low-rank weights are of another rank, or of another model's layers")
    for name, parameter in parameters.items():
        parameter.copy_(tensors[name])


def set_strength(unet: Any, strengths: Mapping[str, float]) -> None:
    """How much each adapter counts, in a sum that is exact; those not named stay as they are.

    A strength of 0 is the model without it, bit for bit, and unlike the `scale` of a call it is kept.
    """
    for layer in _layers(unet):
        for name, strength in strengths.items():
            if name in layer.scaling:
                layer.set_scale(name, strength)


@contextmanager
def without(unet: Any, strengths: Mapping[str, float]) -> Iterator[None]:
    """The model as it was before these adapters, which cost nothing meanwhile; then they count again."""
    # peft's own `set_adapter` would have the others' gradients changed as well.
    before = [(layer, layer._active_adapter) for layer in _layers(unet)]
    try:
        for layer, _ in before:
            layer._active_adapter = [name for name in layer.active_adapters if name not in strengths]
        yield
    finally:
        for layer, active in before:
            layer._active_adapter = active
