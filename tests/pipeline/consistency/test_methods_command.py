# SPDX-License-Identifier: Apache-2.0
"""`tune` and `generate --method` on the shipped miniature, as a user calls them."""

import json

import pytest

from models.consistency.registry import METHODS
from pipeline.consistency.layout_file import read_layout
from pipeline.consistency.request import read_prompts
from pipeline.errors import UserError
from tests.pipeline.consistency.commands import QUICK, generated
from tests.pipeline.runs import subjectforge


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
