# SPDX-License-Identifier: Apache-2.0
"""The miniature: a procedural world with ground truth, and small models trained on it.

The models are of the same classes as the full-size ones, so that everything else in this
repository runs for real, and is scored against truth, without a download.
"""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
"""Folder with the shipped weights: one `save_pretrained` folder a model."""
