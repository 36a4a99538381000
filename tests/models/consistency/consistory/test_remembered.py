# SPDX-License-Identifier: Apache-2.0
"""Anchors that are drawn once, for prompts that come later."""

import json
from dataclasses import replace

import pytest
import torch
from diffusers import HeunDiscreteScheduler
from safetensors.torch import load_file

from models.consistency.consistory.archive import Archive
from models.consistency.consistory.consistory import ConsiStory
from models.consistency.consistory.options import Options
from models.consistency.consistory.remembered import Remembered
from models.consistency.method import Subject
from models.consistency.state import BadState
from tests.models.consistency.tiny import CAT, PROMPTS, SAMPLING, SEEDS, sd_pipe, xl_pipe

METHOD = ConsiStory(Options())


@pytest.fixture(scope="module", params=[xl_pipe, sd_pipe], ids=["xl", "sd"])
def pipe(request):
    return request.param()


@pytest.fixture(scope="module")
def together(pipe):
    return METHOD.generate(pipe, CAT, None, PROMPTS, SEEDS, SAMPLING)


def remembered(pipe, **more):
    return METHOD.remember(pipe, CAT, PROMPTS[:2], SEEDS[:2], SAMPLING, **more)


def later(pipe, anchors, which=slice(2, 4), sampling=SAMPLING, subject=CAT, options=None):
    method = ConsiStory(options or METHOD.options)
    return method.generate(pipe, subject, anchors, PROMPTS[which], SEEDS[which], sampling)


def apart(one, other):
    return (one - other).abs().max()


def test_anchors_and_later_pictures_are_those_of_one_batch_with_dropout_too(pipe, together):
    pictures, anchors = remembered(pipe)
    assert apart(pictures, together[:2]) < 1e-4
    assert apart(later(pipe, anchors), together[2:]) < 1e-4
    assert apart(later(pipe, anchors, slice(3, 4)), together[3:]) < 1e-4


def test_also_where_pictures_take_what_is_already_blended(pipe):
    method = ConsiStory(Options(injection_order="sequential"))
    whole = method.generate(pipe, CAT, None, PROMPTS, SEEDS, SAMPLING)
    pictures, anchors = method.remember(pipe, CAT, PROMPTS[:2], SEEDS[:2], SAMPLING)
    assert apart(pictures, whole[:2]) < 1e-4
    for place in (2, 3):
        # A later picture alone takes from anchors; in a batch from nobody else either.
        alone = later(pipe, anchors, slice(place, place + 1), options=method.options)
        assert apart(alone, whole[place : place + 1]) < 1e-4


def test_also_where_a_step_calls_more_than_once():
    pipe = xl_pipe()
    pipe.scheduler = HeunDiscreteScheduler.from_config(pipe.scheduler.config)
    whole = METHOD.generate(pipe, CAT, None, PROMPTS, SEEDS, SAMPLING)
    _, anchors = remembered(pipe)
    assert apart(later(pipe, anchors), whole[2:]) < 1e-3


@pytest.mark.parametrize("where", ["memory", "on the way"])
def test_they_survive_the_disk(pipe, together, tmp_path, where):
    _, anchors = remembered(pipe, folder=tmp_path if where == "on the way" else None)
    anchors.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "first",
        "second",
        "state.json",
        "state.safetensors",
    }
    again = Remembered.load(tmp_path)
    assert apart(later(pipe, again), together[2:]) < 1e-4
    assert torch.equal(later(pipe, again), later(pipe, anchors))


def test_what_was_written_on_the_way_is_not_held_in_memory(pipe, tmp_path):
    _, anchors = remembered(pipe, folder=tmp_path)
    assert not anchors.first._calls
    assert anchors.bytes > 10_000


def test_without_room_anchors_are_made_again(pipe, together, tmp_path):
    _, anchors = remembered(pipe, limit=1000)
    assert anchors.first is anchors.second is None
    assert anchors.bytes < 100_000
    assert apart(later(pipe, anchors), together[2:]) < 1e-4
    anchors.save(tmp_path)
    assert apart(later(pipe, Remembered.load(tmp_path)), together[2:]) < 1e-4


def test_without_injection_there_is_one_pass_to_remember(pipe):
    method = ConsiStory(Options(injection=0.0))
    whole = method.generate(pipe, CAT, None, PROMPTS, SEEDS, SAMPLING)
    _, anchors = method.remember(pipe, CAT, PROMPTS[:2], SEEDS[:2], SAMPLING)
    assert apart(later(pipe, anchors, options=method.options), whole[2:]) < 1e-4


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sampling": replace(SAMPLING, steps=9)}, "steps"),
        ({"sampling": replace(SAMPLING, width=64)}, "size"),
        ({"sampling": replace(SAMPLING, guidance=1.0)}, "guided"),
        ({"subject": Subject(words=("dog",))}, "words"),
        ({"options": Options(mask_dropout=0.1)}, "options"),
    ],
)
def test_anchors_of_something_else_are_refused(pipe, changes, what):
    _, anchors = remembered(pipe)
    with pytest.raises(BadState, match=what):
        later(pipe, anchors, **changes)


def test_anchors_of_another_model_are_refused():
    _, anchors = remembered(xl_pipe())
    with pytest.raises(BadState, match="backbone"):
        later(sd_pipe(), anchors)


@pytest.mark.parametrize("damage", ["gone", "json", "tensors"])
def test_a_damaged_folder_is_told(pipe, tmp_path, damage):
    if damage != "gone":
        remembered(pipe)[1].save(tmp_path)
        name = "state.json" if damage == "json" else "state.safetensors"
        (tmp_path / name).write_text("{")
    with pytest.raises(BadState, match="tune the subject again"):
        Remembered.load(tmp_path)


def test_an_archive_keeps_copies_and_counts_bytes(tmp_path):
    archive = Archive(1, tmp_path)
    whole = torch.arange(1000.0).reshape(1, 10, 100)
    archive.keep_hidden(0, "a", (True,), [whole[:, :2]])
    assert archive.bytes == 800
    assert archive._calls[0]["a|hidden|1|0"].untyped_storage().nbytes() == 800
    archive.keep_output(1, "a", whole)
    assert archive.calls() == [0, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["call-0000.safetensors"]
    archive.close()
    assert torch.equal(archive.output(1, "a", whole), whole)
    assert torch.equal(archive.hidden(0, "a", (True,), whole)[0], whole[:, :2])


@pytest.mark.parametrize("changes", [{"guidance": 9.0}, {"negative": "a dog"}], ids=["guidance", "negative"])
def test_anchors_of_another_guidance_or_negative_prompt_are_told(pipe, changes):
    _, anchors = remembered(pipe)
    with pytest.raises(BadState, match=next(iter(changes))):
        later(pipe, anchors, sampling=replace(SAMPLING, **changes))
    _, made_again = remembered(pipe, limit=1)
    with pytest.raises(BadState, match=next(iter(changes))):
        later(pipe, made_again, sampling=replace(SAMPLING, **changes))


def test_what_is_not_theirs_stays_in_their_folder(pipe, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "holiday.jpg").write_bytes(b"a picture")
    for limit in (None, 1):
        _, kept = remembered(pipe, folder=tmp_path, limit=limit)
        kept.save(tmp_path)
        assert (tmp_path / "first" / "holiday.jpg").read_bytes() == b"a picture"
    assert not [*tmp_path.glob("*/call-*")]


def test_anchors_that_are_drawn_anew_are_no_state_until_they_are_there(pipe, tmp_path):
    _, kept = remembered(pipe, folder=tmp_path)
    kept.save(tmp_path)

    def stops(done, _of, _what):
        if done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remembered(pipe, folder=tmp_path, tell=stops)
    with pytest.raises(BadState, match="holds no state"):
        Remembered.load(tmp_path)


@pytest.mark.parametrize(
    "changes", [{"grid": [4, 4]}, {"grid": None}, {"seeds": ["3", "5"]}, {"seeds": [3]}], ids=str
)
def test_what_damaged_anchors_say_of_themselves_is_looked_at(pipe, tmp_path, changes):
    _, kept = remembered(pipe, folder=tmp_path)
    kept.save(tmp_path)
    told = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps(told | changes))
    with pytest.raises(BadState, match="draw them again"):
        Remembered.load(tmp_path)


def test_a_call_of_another_step_is_told(pipe, tmp_path):
    _, kept = remembered(pipe, folder=tmp_path)
    kept.save(tmp_path)
    calls = sorted((tmp_path / "second").glob("call-*.safetensors"))
    keys = {path: load_file(path).keys() for path in calls}
    fewest = min(calls, key=lambda path: len(keys[path]))
    most = max(calls, key=lambda path: len(keys[path]))
    assert not keys[most] <= keys[fewest]
    most.write_bytes(fewest.read_bytes())
    with pytest.raises(BadState, match="damaged"):
        later(pipe, Remembered.load(tmp_path))
