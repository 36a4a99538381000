# SPDX-License-Identifier: Apache-2.0
"""`generate`, as a person runs it: pictures without a network, and one line for a mistake."""

import numpy as np
import pytest
from PIL import Image

from tests.pipeline.runs import one_line, subjectforge

OFFLINE = {"HF_HUB_OFFLINE": "1", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}


def generate(*arguments):
    return subjectforge("generate", *arguments, **OFFLINE)


def test_pictures_without_a_network(tmp_path):
    arguments = ("--prompt", "a cat in the snow", "--steps", 8, "--output", tmp_path)
    run = generate(*arguments, "--n", 3, "--seed", 4)
    assert run.returncode == 0, run.stderr
    names = [f"a-cat-in-the-snow-{seed}.png" for seed in (4, 5, 6)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert all(name in run.stdout for name in names)
    assert "3 pictures in" in run.stdout
    first = {name: Image.open(tmp_path / name).copy() for name in names}
    assert {image.size for image in first.values()} == {(64, 64)}
    generate(*arguments, "--n", 1, "--seed", 5)
    alone = np.asarray(Image.open(tmp_path / names[1])).astype(int)
    assert np.abs(alone - np.asarray(first[names[1]])).max() <= 2


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--model", "./nowhere"), "./nowhere"),
        (("--model", "miniature:text2imag"), "text2imag"),
        (("--model", "miniature:judge"), "miniature:judge"),
        (("--device", "abacus"), "abacus"),
        (("--n", "0"), "--n"),
        (("--steps", "0"), "--steps"),
        (("--size", "63"), "--size"),
        (("--guidance", "0"), "--guidance"),
        (("--seed", str(10**22)), "--seed"),
        (("--size", "100000"), "--size"),
        (("--prompt", "  "), "--prompt"),
    ],
)
def test_mistakes(tmp_path, arguments, part):
    line = one_line(generate("--prompt", "a cat", "--output", tmp_path / "out", *arguments))
    assert part in line
    assert not (tmp_path / "out").exists()


def test_what_the_model_refuses_is_told(tmp_path):
    arguments = ("--prompt", "a cat", "--steps", "1001", "--n", "1", "--output", tmp_path)
    assert "1001" in one_line(generate(*arguments))


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    arguments = ("--prompt", "a cat", "--steps", "1", "--n", "1", "--output", tmp_path / "file")
    assert "--output" in one_line(generate(*arguments))
