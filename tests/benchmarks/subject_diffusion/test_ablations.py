# SPDX-License-Identifier: Apache-2.0
"""What is scored is told, and not trained again."""

import json
import sys

import pytest

from benchmarks.subject_diffusion.ablations import main
from benchmarks.subject_diffusion.tables import COLUMNS, COUNTS

SETTINGS = ["max_steps=5"]


def scores(folder, name, *values, settings=()):
    """Files of a variant's trainings, in each of which all scores of all cases are one number."""
    for seed, value in enumerate(values):
        row = dict.fromkeys(COLUMNS, value)
        kept = {"settings": [*SETTINGS, *settings, f"seed={seed}"]}
        kept |= {str(subjects): [row] * 4 for subjects in COUNTS}
        (folder / f"{name}-{seed}.json").write_text(json.dumps(kept))


def told(monkeypatch, capsys, folder, *options):
    arguments = ["configs/train/miniature.yaml", "--scores", folder, "--output", folder / "runs", *options]
    monkeypatch.setattr(sys, "argv", ["ablations", *map(str, arguments)])
    main()
    return capsys.readouterr().out


def test_means_are_over_trainings(monkeypatch, capsys, tmp_path):
    scores(tmp_path, "whole", 0.2, 0.4)
    scores(tmp_path, "no-adapter", 0.1, settings=["model.adapter=false"])
    out = told(monkeypatch, capsys, tmp_path, "--show")
    assert out.count("| whole, 2 trainings | 0.300 (0.300 to 0.300), seeds 0.200 to 0.400 |") == 2
    assert out.count("| no adapter, 1 training | 0.100") == 2
    once = ("--seeds", 1, "--variants", "whole", "no adapter")
    for options in (("--show", *once), ("--set", *SETTINGS, *once)):
        out = told(monkeypatch, capsys, tmp_path, *options)
        assert out.count("| whole, 1 training | 0.200") == 2
        assert out.count("| no adapter, 1 training | 0.100") == 2
    assert not (tmp_path / "runs").exists()


def test_differences_are_of_the_same_trainings(monkeypatch, capsys, tmp_path):
    scores(tmp_path, "whole", 0.25, 0.5)
    scores(tmp_path, "no-adapter", 0.125, settings=["model.adapter=false"])
    scores(tmp_path, "no-location-map", 0.125, 0.625, settings=["model.location_control=false"])
    out = told(monkeypatch, capsys, tmp_path, "--show")
    assert out.count("| no adapter, less whole | -0.125 (-0.125 to -0.125), seeds -0.125 to -0.125 |") == 2
    assert out.count("| no location map, less whole | 0.000 (0.000 to 0.000), seeds -0.125 to 0.125 |") == 2
    assert "whole, less whole" not in out


def test_scores_of_other_settings_are_not_taken_for_these(monkeypatch, capsys, tmp_path):
    scores(tmp_path, "whole", 0.2)
    with pytest.raises(SystemExit, match=r"max_steps=5.*max_steps=6"):
        told(monkeypatch, capsys, tmp_path, "--set", "max_steps=6", "--variants", "whole")
