# SPDX-License-Identifier: Apache-2.0
"""Draws the training curves of the miniature's models.

COMMAND  python -m benchmarks.curves [--of perception|generation|two_cores] [RUNS=runs/miniature] [PICTURE]
"""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PERCEPTION = {
    "captioner": ("caption", "noun", "colour"),
    "captioner/refinement": ("caption", "noun", "colour"),
    "detector/backbone": ("grid16", "grid8", "grid4"),
    "detector": ("decoder1_class", "decoder1_l1", "decoder1_giou", "encoder_class"),
    "segmenter": ("cross", "dice", "iou"),
}
GENERATION = {
    "autoencoder": ("mse", "kl"),
    "clip": ("contrast", "noun", "body", "pattern"),
    "dino": ("distillation",),
    "judge": ("pixel", "noun", "body", "pattern", "trait"),
    "text2image": ("velocity",),
    "text2image_xl": ("velocity",),
}
TWO_CORES = {"dino": ("distillation",), "text2image": ("velocity", "attention")}
FOLDER = Path("models/miniature")
PICTURES = {
    "perception": (PERCEPTION, FOLDER / "curves.png"),
    "generation": (GENERATION, FOLDER / "curves_generation.png"),
    "two_cores": (TWO_CORES, FOLDER / "curves_two_cores.png"),
}


def main() -> None:
    """Save one picture with a panel for every training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs/miniature"))
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("--of", choices=PICTURES, default="perception")
    arguments = parser.parse_args()
    parts, picture = PICTURES[arguments.of]
    figure, panels = plt.subplots(1, len(parts), figsize=(4 * len(parts), 3.2), layout="constrained")
    for panel, (part, names) in zip(panels, parts.items(), strict=True):
        rows = [json.loads(line) for line in (arguments.runs / part / "curve.jsonl").read_text().splitlines()]
        for name in names:
            seen = [(row["step"], row[name]) for row in rows if name in row]
            steps, losses = np.array(seen).T
            smooth = np.convolve(np.pad(losses, 2, mode="edge"), np.ones(5) / 5, mode="valid")
            panel.plot(steps, smooth, label=name)
        panel.set(title=f"{part}, {rows[-1]['seconds'] / 60:.0f} min", xlabel="step", yscale="log")
        panel.legend(fontsize="small")
    figure.savefig(arguments.picture or picture, dpi=80)


if __name__ == "__main__":
    main()
