# SPDX-License-Identifier: Apache-2.0
"""`generate --reference`, as a person runs it."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from models.miniature.world import render_scene, sample_scene
from pipeline.cut_out import CuttingOut, split_reference, upright, usual_stages
from pipeline.errors import UserError
from tests.pipeline.runs import one_line, subjectforge

OFFLINE = {"HF_HUB_OFFLINE": "1", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
ORIENTATION = 0x0112
SCENE = render_scene(sample_scene(5, 2, count=1), 256)
NOUN = SCENE.subjects[0].identity.noun


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "scene.png"
    SCENE.image.save(path)
    return path


@pytest.fixture(scope="module")
def cutting():
    return CuttingOut(usual_stages("miniature:subject_diffusion"))


def generate(*arguments):
    return subjectforge("generate", *arguments, **OFFLINE)


def test_a_picture_is_turned_as_its_file_says(cutting, picture, tmp_path):
    turned, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[ORIENTATION] = 6
    SCENE.image.rotate(90, expand=True).save(turned, exif=exif, quality=95)
    upright, found = cutting(f"{picture}:{NOUN}"), cutting(f"{turned}:{NOUN}")
    assert np.abs(np.subtract(upright.box, found.box)).max() < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_that_hides_nothing_is_no_cut_out(cutting, tmp_path, mode):
    SCENE.image.convert(mode).save(tmp_path / "opaque.png")
    if mode == "RGBA":
        assert cutting(f"{tmp_path / 'opaque.png'}:{NOUN}").box is not None
    else:
        with Image.open(tmp_path / "opaque.png") as image:
            assert upright(image).mode == "RGB"


def test_a_prompt_that_is_too_long(finished, picture, tmp_path):
    prompt = f"a {NOUN} in the snow" + " and the snow" * 20
    arguments = ("--model", finished / "export", "--steps", 1, "--n", 1, "--output", tmp_path / "out")
    run = generate("--prompt", prompt, "--reference", f"{picture}:{NOUN}", *arguments)
    assert run.returncode == 0, run.stderr
    assert "tokens are not read" in run.stdout


def test_a_folder_that_is_no_model(picture, tmp_path):
    arguments = ("--prompt", "a cat", "--model", tmp_path, "--output", tmp_path / "out")
    line = one_line(generate(*arguments, "--reference", f"{picture}:{NOUN}"))
    assert str(tmp_path) in line
    assert "grounding" not in line


def test_pictures_with_what_was_used(finished, picture, tmp_path):
    out = tmp_path / "out"
    arguments = (
        "--model",
        finished / "export",
        "--prompt",
        f"a {NOUN} in the snow",
        "--steps",
        2,
        "--seed",
        3,
    )
    run = generate(*arguments, "--reference", f"{picture}:{NOUN}", "--n", 2, "--output", out)
    assert run.returncode == 0, run.stderr
    name = f"a-{NOUN}-in-the-snow"
    assert {path.name for path in out.iterdir()} == {
        f"reference-0-{NOUN}.png", *(f"{name}-{seed}.{kind}" for seed in (3, 4) for kind in ("png", "json"))
    }  # fmt: skip
    told = json.loads((out / f"{name}-4.json").read_text())
    assert told["seed"] == 4
    assert told["subjects"][0]["label"] == NOUN
    assert told["subjects"][0]["sha256"] == hashlib.sha256(picture.read_bytes()).hexdigest()
    assert told["steps"] == 2
    assert told["device"] == "cpu"
    used = {name: each["model"] for name, each in told["cut_out_by"].items()}
    assert used == {"detector": "miniature:detector", "segmenter": "miniature:segmenter"}
    assert told["unread_tokens"] == 0
    assert "not read" not in run.stdout
    assert told["placed_at"] == [[0.15, 0.15, 0.85, 0.85]]
    # A second time, by itself, and with the cut-out as it was written: the same picture.
    again = tmp_path / "again"
    reference = f"{out / f'reference-0-{NOUN}.png'}:{NOUN}"
    run = generate(*arguments[:-1], 4, "--reference", reference, "--n", 1, "--output", again)
    assert run.returncode == 0, run.stderr
    one, other = (np.asarray(Image.open(folder / f"{name}-4.png")).astype(int) for folder in (out, again))
    assert np.abs(one - other).max() <= 8


def test_random_boxes_are_the_seeds_own(finished, picture, tmp_path):
    def placed(name, count):
        folder = tmp_path / name
        arguments = ("--model", finished / "export", "--prompt", "a house", "--steps", 1, "--box", "random")
        reference = ("--reference", f"{picture}:{NOUN}")
        run = generate(*arguments, *reference, "--n", count, "--output", folder)
        assert run.returncode == 0, run.stderr
        return [json.loads(path.read_text())["placed_at"] for path in sorted(folder.glob("*.json"))]

    two, one = placed("two", 2), placed("one", 1)
    assert two[0] == one[0] != two[1]


def test_a_subject_is_found_and_cut_out(cutting, picture):
    found = cutting(f"{picture}:{NOUN}")
    x0, y0, x1, y1 = found.box
    truth = SCENE.subjects[0].box
    assert max(abs(a - b) for a, b in zip((x0, y0, x1, y1), truth, strict=True)) < 12
    assert found.picture.mode == "RGBA"
    opaque = (np.asarray(found.picture)[..., 3] > 0).sum()
    assert opaque == pytest.approx(SCENE.subjects[0].mask.sum(), rel=0.1)


def test_without_a_label_it_is_what_the_caption_names(cutting, picture):
    assert cutting(str(picture)).label == NOUN


def test_a_transparent_picture_is_cut_out_already(cutting, tmp_path):
    image = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    image.paste((200, 10, 10, 255), (10, 5, 30, 25))
    image.save(tmp_path / "dog.png")
    found = cutting(f"{tmp_path / 'dog.png'}:dog")
    assert (found.label, found.box, found.picture.size) == ("dog", None, (20, 20))
    with pytest.raises(UserError, match=":LABEL"):
        cutting(str(tmp_path / "dog.png"))
    Image.new("RGBA", (9, 9)).save(tmp_path / "nothing.png")
    with pytest.raises(UserError, match="transparent"):
        cutting(f"{tmp_path / 'nothing.png'}:dog")


def test_labels_follow_the_last_colon(tmp_path):
    assert [*map(str, split_reference("a/b.png:red dog"))] == ["a/b.png", "red dog"]
    assert split_reference("a/b.png")[1] is None
    (tmp_path / "odd:name.png").touch()
    assert split_reference(str(tmp_path / "odd:name.png"))[1] is None
    assert split_reference(str(tmp_path / "odd:name.png") + ":cat")[1] == "cat"


def test_what_is_not_there(cutting, picture, tmp_path):
    with pytest.raises(UserError, match="no picture"):
        cutting(str(tmp_path / "nowhere.png"))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError, match="no picture that can be read"):
        cutting(str(tmp_path / "text.png"))
    absent = next(noun for noun in ("robot", "mug") if noun != NOUN)
    with pytest.raises(UserError, match=f"no {absent} found"):
        cutting(f"{picture}:{absent}")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--box", "0,0,1,1"), "--reference"),
        (("--alpha", "0.5"), "--alpha"),
        (("--reference", "x.png", "--negative", "y"), "--negative"),
        (("--reference", "x.png:cat", "--box", "0,0,1"), "four numbers"),
        (("--reference", "x.png:cat", "--box", "0,0,2,1"), "no box"),
        (("--reference", "x.png:cat", "--box", "0,0,1,1", "--box", "0,0,1,1"), "2 boxes for 1"),
        (("--reference", "x.png:cat", "--model", "./nowhere"), "./nowhere"),
        (("--reference", f"PICTURE:{NOUN}", "--model", "miniature:text2image"), "miniature:text2image"),
        (("--reference", "x.png:cat", "--model", "miniature:text2image"), "no picture x.png"),
        (("--reference", "x.png:cat", "--size", "60"), "size"),
        (("--reference", "x:a", "--reference", "x:b", "--box", "random"), "one subject"),
    ],
)
def test_mistakes(picture, tmp_path, arguments, part):
    arguments = [argument.replace("PICTURE", str(picture)) for argument in arguments]
    line = one_line(generate("--prompt", "a cat", "--output", tmp_path / "out", *arguments))
    assert part in line
