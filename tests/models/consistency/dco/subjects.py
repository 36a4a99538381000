# SPDX-License-Identifier: Apache-2.0
"""What tests of DCO learn and draw."""

from dataclasses import replace
from hashlib import sha256

from PIL import Image

from models.consistency.dco.dco import Dco
from models.consistency.dco.options import Options
from models.consistency.method import Subject
from tests.models.consistency.tiny import SAMPLING, stock

SAMPLING = replace(SAMPLING, steps=4)
PICTURES = tuple(Image.new("RGB", (80, 64), colour) for colour in ("red", "blue", "green"))
CAT = Subject(words=("cat",), pictures=PICTURES)
PROMPTS, SEEDS = ["a cat in the snow", "a cat on the beach"], [3, 5]
SHORT = Options(steps=3, rank=4, lr=1e-2, token_lr=1e-2, prior_pictures=2)


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
