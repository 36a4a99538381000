# SPDX-License-Identifier: Apache-2.0
"""Draws the training curves of the miniature's models.

COMMAND  python -m benchmarks.curves [RUNS=runs/miniature] [PICTURE=models/miniature/curves.png]
"""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PARTS = {
    "captioner": ("caption", "noun", "colour"),
    "captioner/refinement": ("caption", "noun", "colour"),
    "detector/backbone": ("grid16", "grid8", "grid4"),
    "detector": ("decoder1_class", "decoder1_l1", "decoder1_giou", "encoder_class"),
    "segmenter": ("cross", "dice", "iou"),
}


def main() -> None:
    """Save one picture with a panel for every training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs/miniature"))
    parser.add_argument("picture", type=Path, nargs="?", default=Path("models/miniature/curves.png"))
    arguments = parser.parse_args()
    figure, panels = plt.subplots(1, len(PARTS), figsize=(4 * len(PARTS), 3.2), layout="constrained")
    for panel, (part, names) in zip(panels, PARTS.items(), strict=True):
        rows = [json.loads(line) for line in (arguments.runs / part / "curve.jsonl").read_text().splitlines()]
        for name in names:
            seen = [(row["step"], row[name]) for row in rows if name in row]
            steps, losses = np.array(seen).T
            smooth = np.convolve(np.pad(losses, 2, mode="edge"), np.ones(5) / 5, mode="valid")
            panel.plot(steps, smooth, label=name)
        panel.set(title=f"{part}, {rows[-1]['seconds'] / 60:.0f} min", xlabel="step", yscale="log")
        panel.legend(fontsize="small")
    figure.savefig(arguments.picture, dpi=80)


if __name__ == "__main__":
    main()
