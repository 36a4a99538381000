# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as the authors' packages write them, with small random weights of their architectures.

These tests need the extra `original`: `make test-original` makes an environment of their own.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

from models.backends.weights import located

PACKAGES = ("groundingdino", "segment_anything", "torchvision")
if not all(map(find_spec, PACKAGES)):
    collect_ignore_glob = ["test_*.py"]

TEXT = located("miniature:detector")
"""Its tokenizer has BERT's special tokens under BERT's numbers."""


@pytest.fixture(scope="session")
def dino_path(tmp_path_factory) -> Path:
    """A Grounding DINO of the authors' package, as a trainer saves it."""
    import torch
    from transformers import AutoTokenizer

    from models.backends.original.dino_layout import BertLayout, DinoLayout, SwinLayout
    from models.backends.original.dino_model import built

    layout = DinoLayout(
        swin=SwinLayout(width=24, depths=(2, 1, 2, 1), heads=(1, 2, 3, 4), window=5),
        bert=BertLayout(width=64, layers=2, inner=96, words=1065, positions=64),
        width=256,
        heads=8,
        encoder_layers=2,
        decoder_layers=2,
        inner=128,
        levels=4,
        encoder_points=4,
        decoder_points=4,
        queries=40,
    )
    torch.manual_seed(0)
    model = built(layout, AutoTokenizer.from_pretrained(TEXT))
    with torch.no_grad():
        for parameter in model.parameters():
            # Heads begin as zeros, with which every box is the same.
            parameter.add_(0.03 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("dino") / "groundingdino_tiny.pth"
    torch.save({"model": {f"module.{name}": each for name, each in model.state_dict().items()}}, path)
    return path


@pytest.fixture(scope="session")
def sam_path(tmp_path_factory) -> Path:
    """The miniature's segmenter as a SAM of the authors' package."""
    import torch
    from transformers import SamModel

    from models.backends.original.sam_layout import SamLayout
    from models.backends.original.sam_names import sam_rules
    from models.backends.original.segment_anything import built

    layout = SamLayout(
        width=96,
        depth=4,
        heads=4,
        inner=288,
        patch=8,
        grid=20,
        window=10,
        everywhere=(1, 3),
        out=64,
        mask_channels=8,
        decoder_depth=2,
        decoder_inner=192,
        decoder_heads=4,
        masks=3,
        score_depth=3,
        score_width=64,
    )
    trained = SamModel.from_pretrained(located("miniature:segmenter"), dtype=torch.float32).state_dict()
    weights = {}
    for name in built(layout).state_dict():
        (ours,) = next(names for rule in sam_rules(3) if (names := rule.names(name)))
        weights[name] = trained[ours].clone()
    path = tmp_path_factory.mktemp("sam") / "sam_tiny.pth"
    torch.save(weights, path)
    return path
