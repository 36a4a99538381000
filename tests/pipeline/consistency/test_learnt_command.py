# SPDX-License-Identifier: Apache-2.0
"""What was kept of subjects, one or several, serves later prompts."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.pipeline.consistency.commands import QUICK, generated, tuned
from tests.pipeline.runs import ROOT, one_line, subjectforge


def kept_anchors(kind, pictures):
    if kind == "given":
        return [each for path in pictures for each in ("--reference", path)]
    prompts = ["--prompt", "a cat", "--prompt", "a cat on grass"]
    return prompts + (["--set", "kept_bytes=1000"] if kind == "made again" else [])


@pytest.mark.parametrize("kind", ["kept", "made again", "given"])
def test_anchors_serve_later_prompts(prompts, pictures, tmp_path, kind):
    some = kept_anchors(kind, pictures)
    done = tuned("consistory", tmp_path / "state", "--subject", "a cat", *some, "--seed", "4")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "state" / "first").is_dir() == (kind == "kept")
    assert (tmp_path / "state" / "pictures.png").is_file() == (kind != "given")
    state = ("--state", tmp_path / "state", "--seeds", "4")
    for output in ("one", "two"):
        done = generated("consistory", prompts, tmp_path / output, *state, "--masks")
        assert done.returncode == 0, done.stderr
        assert Image.open(tmp_path / output / "masks.png").size[1] > 2 * 192
    told = json.loads((tmp_path / "one" / "set.json").read_text())
    # The first two of the set are the anchors.
    assert told["seeds"] == {"4": [40_002, 40_003]}
    name = "a-cat-in-the-snow-4.png"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_what_one_actor_learns_from_is_shown_and_subjects_learnt_apart_are_drawn_together(tmp_path):
    states = []
    for word in ("cat", "dog"):
        settings = ("--set", "steps=2", "--set", "auxiliaries=2", "--set", "target=1")
        done = tuned("oneactor", tmp_path / word, "--subject", f"a {word}", *settings)
        assert done.returncode == 0, done.stderr
        assert Image.open(tmp_path / word / "pictures.png").size[0] > 3 * 192
        states += ["--state", tmp_path / word]
    (tmp_path / "prompts.txt").write_text("a cat and a dog on grass\na dog in the snow\n")
    subjects = ("--subject", "a dog")
    done = generated("oneactor", tmp_path / "prompts.txt", tmp_path / "out", *states, *subjects)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a-cat-and-a-dog-on-grass-0.png").is_file()
    done = generated("oneactor", tmp_path / "prompts.txt", tmp_path / "out", *states)
    assert done.returncode == 2
    assert "the states are of cat, dog" in done.stderr


def test_several_subjects_are_learnt_together(tmp_path):
    settings = ("--set", "steps=2", "--set", "auxiliaries=2", "--prompt", "a cat and a dog")
    done = tuned("oneactor", tmp_path, "--subject", "a cat", "--subject", "a dog", *settings)
    assert done.returncode == 0, done.stderr
    assert "cat, dog learnt" in done.stdout


def test_several_subjects_are_learnt_together_from_captioned_pictures(pictures, tmp_path):
    both = ("--subject", "a cat", "--subject", "a dog")
    given = ("--reference", pictures[0], "--reference", pictures[1], "--set", "steps=1", "--set", "rank=2")
    said = ("--caption", "a cat", "--caption", "a dog at night")
    done = tuned("dreambooth", tmp_path / "state", *both, *given, *said)
    assert done.returncode == 0, done.stderr
    (tmp_path / "prompts.txt").write_text("a cat and a dog on grass\n")
    done = subjectforge(
        *("generate", "--method", "dreambooth", *both, "--prompts", tmp_path / "prompts.txt", *QUICK),
        *("--output", tmp_path / "out", "--state", tmp_path / "state"),
    )
    assert done.returncode == 0, done.stderr
    for more, told in (
        ((), "who is in which picture"),
        (("--builder", ROOT / "configs/build/miniature.yaml"), "--builder does not know"),
    ):
        assert told in one_line(tuned("dreambooth", tmp_path / "other", *both, *given, *more))
    assert "a new word is of one subject" in one_line(tuned("dco", tmp_path / "other", *both, *given, *said))


def test_low_rank_changes_of_a_subject_and_a_style_are_merged(prompts, pictures, tmp_path):
    states = []
    for method in ("dreambooth", "dco-style"):
        some = ("--reference", pictures[0], "--set", "steps=1", "--set", "rank=2")
        done = tuned(method, tmp_path / method, "--subject", "a cat", *some)
        assert done.returncode == 0, done.stderr
        states += ["--state", tmp_path / method]
    for method in ("lora-merge", "dco"):
        done = generated(method, prompts, tmp_path / "out", *states)
        assert done.returncode == 0, done.stderr
    assert len([*(tmp_path / "out").glob("a-cat-*.png")]) == 2


def test_prompts_alike_have_files_of_their_own(tmp_path):
    (tmp_path / "prompts.txt").write_text("a cat on grass\na cat on grass!\nA CAT on grass\n")
    done = generated("plain", tmp_path / "prompts.txt", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "out").glob("a-cat*.png"))
    assert names == ["a-cat-on-grass-0.png", "a-cat-on-grass-2-0.png", "a-cat-on-grass-3-0.png"]


def test_options_that_are_lists_may_be_set(pictures, tmp_path):
    settings = ("--set", "steps=1", "--set", 'captions=["a {} in the snow", "a {} on the beach"]')
    done = tuned("cones2", tmp_path / "state", "--subject", "a cat", "--reference", pictures[0], *settings)
    assert done.returncode == 0, done.stderr


def test_anchors_beyond_the_limit_are_drawn_again_and_old_ones_are_gone(prompts, pictures, tmp_path):
    first = ("--prompt", "a cat", "--prompt", "a cat on grass")
    for step, options in enumerate(
        (first, (*first, "--set", "kept_bytes=200000"), ("--reference", pictures[0]))
    ):
        done = tuned("consistory", tmp_path / "state", "--subject", "a cat", *options)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "state" / "second").is_dir() == (step == 0)
        done = generated("consistory", prompts, tmp_path / str(step), "--state", tmp_path / "state")
        assert done.returncode == 0, done.stderr


def test_states_of_others_and_damaged_ones_are_told(prompts, pictures, tmp_path):
    some = ("--reference", pictures[0], "--set", "steps=1", "--set", "rank=2")
    done = tuned("dreambooth", tmp_path / "state", "--subject", "a cat", *some)
    assert done.returncode == 0, done.stderr
    given = ("--state", tmp_path / "state")
    for method in ("consistory", "cones2", "oneactor"):
        assert "one of dco, not of" in one_line(generated(method, prompts, tmp_path / "out", *given))
    told = json.loads((tmp_path / "state" / "state.json").read_text())
    for changes, wrong in (
        ({"rank": 5}, "another rank"),
        ({"rank": None}, "damaged"),
        ({"words": 3}, "damaged"),
    ):
        (tmp_path / "state" / "state.json").write_text(json.dumps({**told, **changes}))
        assert wrong in one_line(generated("dco", prompts, tmp_path / "out", *given))


def test_the_folder_is_tried_before_anything_is_learnt(pictures, tmp_path):
    (tmp_path / "file").touch()
    done = tuned("dco", tmp_path / "file", "--subject", "a cat", "--reference", pictures[0])
    assert "cannot write to" in one_line(done)
    assert "tuning" not in done.stderr


def test_merged_states_have_strengths(prompts, pictures, tmp_path):
    settings = ("--set", "steps=3", "--set", "rank=2", "--set", "lr=0.01", "--reference", pictures[0])
    done = tuned("dreambooth", tmp_path / "state", "--subject", "a cat", *settings)
    assert done.returncode == 0, done.stderr
    found = {}
    for strength in (0, 0.5, 1):
        out = tmp_path / str(strength)
        options = ("--state", tmp_path / "state", "--strength", str(strength))
        done = generated("dreambooth", prompts, out, *options)
        assert done.returncode == 0, done.stderr
        assert json.loads((out / "set.json").read_text())["strengths"] == [strength]
        found[strength] = np.asarray(Image.open(next(out.glob("a-cat-in-*.png"))), float)
    near, far = (np.abs(found[strength] - found[0]).mean() for strength in (0.5, 1))
    assert 0 < near < far


def test_subject_diffusion_draws_with_its_own_model_and_cuts_references_out(tmp_path):
    done = subjectforge("miniature", "scenes", tmp_path / "scenes", "--count", "1", "--seed", "7")
    assert done.returncode == 0, done.stderr
    truth = json.loads((tmp_path / "scenes" / "truth.jsonl").read_text().splitlines()[0])
    noun = truth["objects"][0]["noun"]
    (tmp_path / "prompts.txt").write_text(f"a {noun} in the snow\na {noun} at night\n")
    reference = tmp_path / "scenes" / "images" / truth["file"]
    given = ("--method", "subject-diffusion", "--subject", f"a {noun}", "--prompts", tmp_path / "prompts.txt")
    out = ("--output", tmp_path / "out", *QUICK)
    done = subjectforge("generate", *given, "--reference", reference, "--box", "0.1,0.2,0.8,0.9", *out)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "out" / "set.json").read_text())
    assert told["model"]["model"] == "miniature:subject_diffusion"
    assert len([*(tmp_path / "out").glob("a-*.png")]) == 2
    done = subjectforge("generate", *given, *out)
    assert done.returncode == 2
    assert "0 --references for 1 subject" in done.stderr
