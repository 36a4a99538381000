# SPDX-License-Identifier: Apache-2.0
"""Short trainings of the miniature: pictures of 32 pixels, a handful of steps."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from pipeline.train.config import load_train_config

CONFIG = Path("configs/train/miniature.yaml")
STEPS = 6
# A bias of keys has no gradient but rounding, of which Adam without this makes steps as large as any.
SHORT = {
    "pixels": 32,
    "batch": 4,
    "max_steps": STEPS,
    "checkpoint_every": 3,
    "optimiser.warmup": 2,
    "optimiser.eps": 1e-4,
    "watching.validate_every": 0,
    "watching.sample_every": 0,
}
WATCHED = {"watching.validate_every": 3, "watching.sample_every": 3, "watching.sample_steps": 2}


def settings(dataset, **changes):
    """`--set` options of a short training; `__` in a name stands for a dot."""
    values = {"dataset": dataset, **SHORT, **{name.replace("__", "."): v for name, v in changes.items()}}
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


def short_config(dataset, **changes):
    return load_train_config(CONFIG, settings(dataset, **changes)[1::2])


def states(run, step=STEPS):
    """All tensors of a checkpoint by file and name."""
    folder = run / "checkpoints" / f"step-{step:08d}"
    files = sorted(folder.glob("*.safetensors"))
    assert [file.stem for file in files] == ["average", "model", "optimiser"]
    return {f"{file.stem} {name}": value for file in files for name, value in load_file(file).items()}


def difference(one, other, step=STEPS):
    """The largest one between two runs' checkpoints."""
    a, b = states(one, step), states(other, step)
    assert a.keys() == b.keys()
    return max(float(np.abs(a[name].astype(float) - b[name]).max()) for name in a)
