# SPDX-License-Identifier: Apache-2.0
"""A pipeline on loan: whatever is done to it, it is given back as it was, after an error too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

_FREEU = ("s1", "s2", "b1", "b2")


@contextmanager
def borrowed(pipe: Any) -> Iterator[Any]:
    """The pipeline, with a scheduler of its own; its bars are off, since the borrower tells of progress.

    Attention processors, the UNet's `forward`, FreeU, the scheduler and the pipeline's notes are put back.
    Weights and adapters are not touched here; who changes them puts them back.

    Args:
        pipe: a diffusers pipeline with a UNet.
    """
    unet, notes = pipe.unet, dict(pipe.__dict__)
    processors, own = unet.attn_processors, unet.__dict__.get("forward")
    freeu = [{name: block.__dict__.get(name) for name in _FREEU} for block in unet.up_blocks]
    pipe.__dict__["scheduler"] = deepcopy(pipe.scheduler)
    pipe.set_progress_bar_config(disable=True)
    try:
        yield pipe
    finally:
        unet.set_attn_processor(processors)
        _put_back(unet, {"forward": own})
        for block, values in zip(unet.up_blocks, freeu, strict=True):
            _put_back(block, values)
        pipe.__dict__.clear()
        pipe.__dict__.update(notes)


@contextmanager
def intercepted(unet: Any, call: Callable[..., Any]) -> Iterator[None]:
    """Each call of the UNet goes to `call`, which gets the UNet's own `forward` and then what was given."""
    forward, own = unet.forward, unet.__dict__.get("forward")
    unet.forward = lambda *given, **named: call(forward, *given, **named)
    try:
        yield
    finally:
        _put_back(unet, {"forward": own})


@contextmanager
def frozen(*modules: Any) -> Iterator[None]:
    """Modules in evaluation and without gradients of their own, which still flow through them."""
    parameters = [(each, each.requires_grad) for module in modules for each in module.parameters()]
    modes = [(each, each.training) for module in modules for each in module.modules()]
    try:
        for parameter, _ in parameters:
            parameter.requires_grad_(False)
        for module in modules:
            module.eval()
        yield
    finally:
        for parameter, wanted in parameters:
            parameter.requires_grad_(wanted)
        for module, training in modes:
            module.training = training


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Chance begins with a seed, on every device, and goes on afterwards as if nothing had been."""
    import torch

    devices = [*range(torch.cuda.device_count())] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def without_ip_adapter(unet: Any) -> Iterator[None]:
    """A UNet that asks for no picture, whatever IP-Adapter is loaded: a subject is learnt without one."""
    kind = getattr(unet.config, "encoder_hid_dim_type", None)
    if kind != "ip_image_proj":
        yield
        return
    from diffusers.models.attention_processor import AttnProcessor2_0

    before = unet.attn_processors
    plain = {name: AttnProcessor2_0() if hasattr(each, "to_k_ip") else each for name, each in before.items()}
    try:
        # As diffusers' own loader does it: the attribute, not the entry.
        unet.config.encoder_hid_dim_type = None
        unet.set_attn_processor(plain)
        yield
    finally:
        unet.config.encoder_hid_dim_type = kind
        unet.set_attn_processor(before)


@contextmanager
def checkpointed(unet: Any, wanted: bool) -> Iterator[None]:
    """The UNet with less memory for its gradient, if that is wanted."""
    if not wanted or unet.is_gradient_checkpointing:
        yield
        return
    # Diffusers leaves its own on every part.
    function = "_gradient_checkpointing_func"
    had = {module: module.__dict__[function] for module in unet.modules() if function in module.__dict__}
    unet.enable_gradient_checkpointing()
    try:
        yield
    finally:
        unet.disable_gradient_checkpointing()
        for module in unet.modules():
            module.__dict__.pop(function, None)
        for module, value in had.items():
            module.__dict__[function] = value


def _put_back(module: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if value is None:
            module.__dict__.pop(name, None)
        else:
            module.__dict__[name] = value
