# SPDX-License-Identifier: Apache-2.0
"""How several processes share one objective."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from models.subject_diffusion.objective import Objective
from pipeline.train.world import World


def wrapped(objective: Objective, way: str, world: World) -> nn.Module:
    """The objective for one process, or for several.

    Args:
        objective: on the process's device.
        way: `ddp`, every process with all weights; `fsdp`, each with a part of each (FSDP2).
        world: the processes.
    """
    if world.size == 1:
        return objective
    if way == "ddp":
        ids = [world.device.index] if world.device.type == "cuda" else None
        return DistributedDataParallel(objective, device_ids=ids, gradient_as_bucket_view=True)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    model = objective.model
    _shareable(model.unet)
    for block in (*_blocks(model.unet), *_layers(model.text_encoder)):
        fully_shard(block, mesh=mesh)
    fully_shard(objective, mesh=mesh)
    return objective


def _shareable(unet: nn.Module) -> None:
    """Gates as rows of one: a number without a dimension cannot be shared out."""
    for module in unet.modules():
        for name in ("alpha_attn", "alpha_dense"):
            if isinstance(gate := getattr(module, name, None), nn.Parameter):
                setattr(module, name, nn.Parameter(gate.detach().reshape(1), gate.requires_grad))


def _blocks(unet: nn.Module) -> Iterator[nn.Module]:
    """What of the UNet is gathered and let go as one."""
    return (module for module in unet.modules() if type(module).__name__ == "BasicTransformerBlock")


def _layers(encoder: nn.Module) -> Iterator[nn.Module]:
    return (module for module in encoder.modules() if type(module).__name__ == "CLIPEncoderLayer")


@contextmanager
def gathered(module: nn.Module) -> Iterator[bool]:
    """While this lasts a part of the module may be called by itself.

    Yields:
        Whether all processes must call it, since each of them has a part of the weights.
    """
    shared = hasattr(module, "unshard")
    if shared:
        module.unshard()  # pyright: ignore[reportCallIssue]
    try:
        yield shared
    finally:
        if shared:
            module.reshard()  # pyright: ignore[reportCallIssue]


@contextmanager
def accumulating(module: nn.Module, last: bool) -> Iterator[None]:
    """While this lasts gradients stay in the process unless the piece is the step's last."""
    if isinstance(module, DistributedDataParallel):
        with nullcontext() if last else module.no_sync():
            yield
        return
    if hasattr(module, "set_requires_gradient_sync"):
        module.set_requires_gradient_sync(last)  # pyright: ignore[reportCallIssue]
    yield
