# SPDX-License-Identifier: Apache-2.0
"""`tune` and `generate --method` on the shipped miniature, as a user calls them."""

import json

import numpy as np
import pytest
from PIL import Image

from models.consistency.registry import METHODS
from pipeline.consistency.layout_file import read_layout
from pipeline.consistency.request import read_prompts
from pipeline.errors import UserError
from tests.pipeline.runs import ROOT, one_line, subjectforge

QUICK = ("--steps", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    path.write_text("# places\na cat in the snow\n\na cat on the beach\n")
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for name, colour in (("one", "red"), ("two", "blue")):
        paths.append(folder / f"{name}.png")
        Image.new("RGB", (64, 64), colour).save(paths[-1])
    return paths


def generated(method, prompts, output, *more):
    common = ("--subject", "a cat", "--prompts", prompts, "--output", output)
    return subjectforge("generate", "--method", method, *common, *QUICK, *more)


@pytest.mark.parametrize("method", ["plain", "consistory"])
def test_sets_of_pictures_a_sheet_and_what_repeats_them(prompts, tmp_path, method):
    done = generated(method, prompts, tmp_path / "out", "--seeds", "1,2")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    wanted = {f"a-cat-{where}-{seed}.png" for where in ("in-the-snow", "on-the-beach") for seed in (1, 2)}
    assert names == wanted | {"sheet.png", "set.json"}
    told = json.loads((tmp_path / "out" / "set.json").read_text())
    assert told["method"] == method
    assert told["seeds"] == {"1": [10_000, 10_001], "2": [20_000, 20_001]}
    assert told["prompts"] == ["a cat in the snow", "a cat on the beach"]
    assert told["weights"]
    again = generated(method, prompts, tmp_path / "again", "--seeds", "2")
    assert again.returncode == 0, again.stderr
    for where in ("in-the-snow", "on-the-beach"):
        name = f"a-cat-{where}-2.png"
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("oneactor", ("steps=2", "auxiliaries=2")),
        ("cones2", ("steps=2",)),
        ("dco", ("steps=2", "rank=2")),
        ("textual-inversion", ("steps=2",)),
    ],
)
def test_a_subject_is_learnt_and_drawn(prompts, pictures, tmp_path, method, settings):
    options = [part for setting in settings for part in ("--set", setting)]
    references = (
        [part for path in pictures for part in ("--reference", path)] if METHODS[method].pictures else []
    )
    state = tmp_path / "state"
    learnt = subjectforge(
        "tune", "--method", method, "--subject", "a cat", "--output", state, *references, *options, *QUICK
    )
    assert learnt.returncode == 0, learnt.stderr
    assert "cat learnt in" in learnt.stdout
    names = {path.name for path in state.iterdir()} - {"pictures.png"}
    assert names == {"state.json", "state.safetensors"}
    boxes = ("--box", "0,0.2,0.6,1") if method == "cones2" else ()
    done = generated(method, prompts, tmp_path / "out", "--state", state, *boxes)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "sheet.png").exists()


def test_a_layout_needs_no_state(prompts, tmp_path):
    layout = tmp_path / "layout.json"
    layout.write_text(json.dumps({"regions": [{"box": [0, 0, 0.5, 1]}]}))
    done = generated("cones2", prompts, tmp_path / "out", "--layout", layout)
    assert done.returncode == 0, done.stderr


def test_an_own_captioner_tells_what_else_is_to_be_seen(pictures, tmp_path):
    common = ("--method", "dco", "--subject", "cat", "--output", tmp_path / "state", "--set", "steps=1")
    builder = ("--builder", "configs/build/miniature.yaml")
    done = subjectforge("tune", *common, "--reference", pictures[0], *builder, *QUICK)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--method", "consistroy"), "did you mean 'consistory'?"),
        (("--method", "consistory"), "--subject is missing"),
        (("--method", "consistory", "--subject", "a dog"), "does not have 'dog'"),
        (("--method", "consistory", "--subject", "cat", "--set", "anchor=2"), "did you mean 'anchors'?"),
        (("--method", "consistory", "--subject", "cat", "--set", "anchors=0"), "must be 1 or more"),
        (("--method", "consistory", "--subject", "cat", "--seeds", "1,x"), "expected numbers from 0 on"),
        (("--method", "consistory", "--subject", "cat", "--box", "0,0,1,1"), "go with --method cones2"),
        (("--method", "consistory", "--subject", "cat", "--state", "/nowhere"), "no state"),
        (("--method", "consistory", "--subject", "cat", "--model", "/nowhere"), "no weights for"),
        (("--method", "oneactor", "--subject", "cat"), "subjectforge tune --method oneactor"),
        (("--method", "cones2", "--subject", "cat", "--layout", "/nowhere"), "--layout /nowhere"),
        (("--method", "ip-adapter", "--subject", "cat"), "needs a picture"),
        (("--subject", "cat"), "--subject is about methods"),
        (("--seeds", "1"), "--seeds is about methods"),
        (("--masks",), "--masks is about methods"),
        (("--strength", "1"), "--strength is about methods"),
        (("--method", "plain", "--subject", "cat", "--n", "3"), "give --seeds for more"),
        (("--method", "plain", "--subject", "cat", "--alpha", "0.5"), "--alpha does not go with"),
        (("--method", "plain", "--subject", "cat", "--prompt", "a cat"), "--prompts is given as well"),
        (("--method", "plain", "--subject", "cat", "--seeds", "1,1"), "there twice"),
        (("--method", "plain", "--subject", "cat", "--seeds", "9" * 20), "a seed is not in"),
        (("--method", "plain", "--subject", "cat", "--state", "/nowhere"), "plain does not"),
        (("--method", "plain", "--subject", "cat", "--guidance", "1e38"), "no numbers"),
        (("--method", "consistory", "--subject", "cat", "--reference", "/nowhere"), "give it to `tune`"),
        (("--method", "consistory", "--subject", "cat", "--set", "mask_depth=9"), "this model attends at"),
        (("--method", "consistory", "--subject", "cat", "--set", "features_block=9"), "up blocks"),
        (("--method", "pipeline.cli:app", "--subject", "cat"), "no method with options"),
        (("--method", ":x", "--subject", "cat"), "no such method"),
        (("--method", "dco", "--subject", "cat", "--state", "/nowhere", "--strength", "nan"), "a number"),
        (("--method", "oneactor", "--subject", "cat", "--strength", "1"), "oneactor does not"),
        (("--method", "dco", "--subject", "cat", "--strength", "1"), "--state 0 times"),
        (("--method", "plain", "--subject", "cat", "--masks"), "plain does not"),
        (
            ("--method", "plain", "--subject", "cat", "--seed", "3", "--seeds", "4"),
            "--seeds is given as well",
        ),
        (("--method", "plain", "--subject", "cat", "--output", "/proc/self/task"), "cannot write to"),
        (
            (
                "--method",
                "subject-diffusion",
                "--subject",
                "cat",
                "--reference",
                "a.png",
                "--reference",
                "b.png",
            ),
            "2 --references for 1 subject; subject-diffusion takes one of each",
        ),
        (
            ("--method", "ip-adapter", "--subject", "cat", "--reference", "a.png", "--reference", "b.png"),
            "takes one picture",
        ),
    ],
)
def test_mistakes_are_told_in_a_line(prompts, tmp_path, options, told):
    given = ("--prompts", prompts) if "--method" in options else ("--prompt", "a cat")
    output = () if "--output" in options else ("--output", tmp_path / "out")
    done = subjectforge("generate", *options, *given, *output, *QUICK)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--method", "plain"), "learns nothing"),
        (("--method", "consistory"), "give --prompt once for each anchor"),
        (("--method", "consistory", "--prompt", "a dog"), "does not have 'cat'"),
        (("--method", "oneactor", "--prompt", "a cat", "--prompt", "a red cat"), "given 2 times"),
        (("--method", "oneactor", "--set", "target=11"), "must be one of 0 to 10"),
        (("--method", "cones2"), "give --reference PICTURE"),
        (("--method", "dco", "--reference", "/nowhere.png"), "no picture /nowhere.png"),
        (("--method", "nothing:Here"), "no such method"),
        (("--method", "cones2", "--prompt", "a cat", "--reference", "one.png"), "learns from pictures"),
        (("--method", "oneactor", "--caption", "a cat"), "has its own sentences"),
        (("--method", "oneactor", "--reference", "one.png", "--reference", "two.png"), "from one picture"),
        (("--method", "oneactor", "--set", "lr=-1"), "above 0"),
        (("--method", "oneactor", "--prompt", "a dog"), "does not have 'cat'"),
        (("--method", "oneactor", "--seed", "9"), "give oneactor --set seed=9"),
        (("--method", "dco", "--reference", "one.png", "--negative", "a dog"), "--negative is for methods"),
        (("--method", "consistory", "--reference", "one.png", "--negative", "a dog"), "leave it out"),
    ],
)
def test_mistakes_in_tuning_are_told_in_a_line(tmp_path, options, told):
    done = subjectforge("tune", *options, "--subject", "a cat", "--output", tmp_path / "state", *QUICK)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("said", "wrong"), [("", "no prompt"), ("# nothing\n", "no prompt"), (None, "cannot be read")]
)
def test_files_without_prompts_are_told(tmp_path, said, wrong):
    path = tmp_path / "prompts.txt"
    if said is not None:
        path.write_text(said)
    done = generated("plain", path, tmp_path / "out")
    assert done.returncode == 2
    assert wrong in done.stderr


def test_prompts_with_a_byte_order_mark_and_indented_remarks(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("\ufeff# my prompts\n  # another remark\n  a cat  \n", encoding="utf-8")
    assert read_prompts(path) == ["a cat"]


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        ({"wieght": 1, "regions": [{"box": [0, 0, 1, 1]}]}, "'wieght' is no key"),
        ({"regions": [{"box": [0, 0, 1, 1], "strength": 2}]}, "'strength' is no key"),
        ({"regions": [{"box": [0, 0, 1, 1], "weight": "nan"}]}, "must be a number"),
    ],
)
def test_what_a_layout_does_not_know_is_told(tmp_path, layout, told):
    path = tmp_path / "layout.json"
    path.write_text(json.dumps(layout))
    with pytest.raises(UserError, match=told):
        read_layout(path)


def test_each_region_may_have_a_weight_of_its_own(tmp_path):
    path = tmp_path / "layout.json"
    regions = [{"box": [0, 0, 0.5, 1], "weight": 4}, {"box": [0.5, 0, 1, 1]}]
    path.write_text(json.dumps({"weight": 2, "regions": regions}))
    assert read_layout(path).weights == (4.0, 2.0)


def test_methods_are_listed():
    done = subjectforge("ls", "methods")
    assert done.returncode == 0
    assert all(f"\n{name}  " in f"\n{done.stdout}" for name in METHODS)


def tuned(method, output, *more):
    return subjectforge("tune", "--method", method, "--output", output, *QUICK, *more)


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
