# SPDX-License-Identifier: Apache-2.0
"""Stages of an evaluation on real small models: what is found, what fails, and what is told of it."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from models.backends.grounding_dino import GroundingDino
from models.backends.sam import Sam
from models.generation import TextToImage
from models.metrics.dino import Dino
from models.miniature.world import Identity, Placement, Scene, render_scene
from models.references import names_of_style
from stages.columns import RAW
from stages.detect import Detect
from stages.find import Find
from stages.finder import Finder, masks_of, nouns_of
from stages.generate import Generate
from stages.images import decoded, encoded
from stages.measure import Measure
from stages.references import References
from stages.segment import Segment
from stages.select import Select
from stages.set_row import Individual, SetRow
from stages.setting import Setting
from stages.whole_set import set_function

DETECT = Detect(detector=GroundingDino(model="miniature:detector"))
SEGMENT = Segment(segmenter=Sam(model="miniature:segmenter"))
CAT = "miniature:cat-red-blue-striped-slim-1"
SAMPLER = TextToImage(steps=2)


def asked(place=0, **changed):
    values = {
        "setting": "plain",
        "method": Setting(method="plain"),
        "name": "cat-1",
        "seed": 3,
        "individuals": (Individual(name="cat-1", word="cat", references=(f"{CAT}/0", f"{CAT}/1")),),
        "prompt": f"a cat {('in the snow', 'at night')[place]}",
        "place": place,
    }
    return SetRow(**{**values, **changed})


def table_of(*rows):
    keys = {"source_uri": "", "status": "ok"}
    made = [
        {**keys, "key": f"00000-{place:05d}", "source_key": str(place), "source_meta": row.text()}
        for place, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(made, RAW)


def scene(*subjects):
    placed = [Placement(who, centre, 0.4, 0.0, False) for who, centre in subjects]
    return render_scene(Scene("snow", tuple(placed), (5,)), 128)


@pytest.fixture(scope="module")
def finder():
    return Finder(DETECT, Select(), SEGMENT)


def test_a_row_is_the_same_after_it_was_text():
    row = asked(
        boxes=((0.0, 0.0, 0.5, 1.0),),
        truth={"background": "snow"},
        teacher=Setting(method="dco", options={"steps": 3}, curve="w"),
        style=Individual(name="ink", word="ink", references=("a.jpg",), captions=("a dog, ink",)),
    )
    assert SetRow.read(row.text()) == row
    with pytest.raises(ValueError, match="no row of an evaluation"):
        SetRow.read(json.dumps({"setting": "plain"}))


def test_subjects_are_found_where_they_are_and_missed_where_they_are_not(finder):
    cat, mug = (Identity(noun, "red", "blue", "plain", "regular", 0) for noun in ("cat", "mug"))
    both = scene((cat, (0.27, 0.5)), (mug, (0.73, 0.5)))
    words = ["cat", "mug"]
    found, nothing = finder(
        [encoded(both.image)] * 2, [nouns_of(words, "a cat and a mug"), nouns_of(["tree"], "")]
    )
    for mask, truth in zip(masks_of(found, words), both.subjects, strict=True):
        overlap = (mask & truth.mask).sum() / (mask | truth.mask).sum()
        assert overlap > 0.7
    assert masks_of(nothing, ["tree"]) == [None]


def test_two_of_a_noun_are_two_masks(finder):
    """The miniature's detector has never seen two; what several detections come to is asked here."""
    cat = Identity("cat", "red", "white", "plain", "regular", 0)
    pictures = [scene((cat, (x, 0.5))) for x in (0.27, 0.73)]
    found = finder([encoded(each.image) for each in pictures], [nouns_of(["cat"], "a cat")] * 2)
    entities = [entity for each in found for entity in each]
    first, second = masks_of(entities, ["cat", "Cat"])
    assert not (first & second).any()
    assert masks_of(entities, ["cat", "cat", "cat"])[2] is None
    assert masks_of(entities, ["dog", "cat"])[0] is None


def drawn(row_of=asked):
    table = References(detect=DETECT, segment=SEGMENT).setup()(table_of(row_of(0), row_of(1)))
    return Generate(sampler=SAMPLER, folder="/nowhere").setup()(table)


def test_a_set_goes_through_all_stages():
    table = Find(detect=DETECT, segment=SEGMENT).setup()(drawn())
    table = Measure(metrics={"dino": Dino(model="miniature:dino")}).setup()(table)
    rows = table.to_pylist()
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert [row["place"] for row in rows] == [0, 1]
    assert rows[0]["caption"] == "a cat in the snow"
    assert "references" not in table.column_names
    names = [{value["name"] for value in row["scores"]} for row in rows]
    assert names[0] == names[1] >= {"found", "dino_subject_reference", "dino_subject_pairs"}


def test_a_picture_without_its_subject_counts_as_a_failure():
    table = drawn()
    blank = encoded(Image.new("RGB", (64, 64), "white"))
    cat = scene((Identity("cat", "red", "blue", "striped", "slim", 1), (0.5, 0.5))).image.resize((64, 64))
    images = pa.array([blank, encoded(cat)], pa.large_binary())
    table = table.set_column(table.column_names.index("image"), table.schema.field("image"), images)
    table = Find(detect=DETECT, segment=SEGMENT).setup()(table)
    table = Measure(metrics={"dino": Dino(model="miniature:dino")}).setup()(table)
    first, second = ({value["name"]: value["value"] for value in row["scores"]} for row in table.to_pylist())
    assert table["status"].to_pylist() == ["ok", "ok"]
    assert first["found"] == first["dino_subject_reference"] == first["dino_subject_pairs"] == 0
    assert second["found"] == 1
    assert second["dino_subject_reference"] > 0 == second["dino_subject_pairs"]


@pytest.mark.parametrize(
    ("changed", "reason", "words"),
    [
        ({"method": Setting(method="subject-diffusion", model="./nowhere")}, "cannot_run", "no weights"),
        ({"method": Setting(method="cones2", given=0)}, "cannot_run", "picture"),
        ({"prompt": "a dog", "method": Setting(method="consistory")}, "cannot_run", "does not have 'cat'"),
    ],
)
def test_a_set_that_cannot_be_drawn_says_so_in_every_row(tmp_path, changed, reason, words):
    table = References(detect=DETECT, segment=SEGMENT).setup()(
        table_of(asked(0, **changed), asked(1, **changed))
    )
    rows = Generate(sampler=SAMPLER, folder=str(tmp_path)).setup()(table).to_pylist()
    assert [(row["status"], row["stage"], row["reason"]) for row in rows] == [
        ("rejected", "generate", reason)
    ] * 2
    assert all(words in row["detail"] for row in rows)


SUNSET = Individual(
    name="sunset", word="sunset", references=names_of_style("sunset", 2), captions=("a cat, sunset",) * 2
)
QUICK = {"steps": 2, "rank": 2, "lr": 1e-2}


def kept(folder):
    return sorted(path.name.rpartition("-")[0] for path in folder.glob("_meta/subjects/*/*") if path.is_dir())


def in_style(folder, method, **changed):
    asked_for = {"method": method, "style": SUNSET, **changed}
    rows = [asked(place, **asked_for, prompt="a cat at night, sunset") for place in (0, 1)]
    table = References(detect=DETECT, segment=SEGMENT).setup()(table_of(*rows))
    return Generate(sampler=SAMPLER, folder=str(folder)).setup()(table)


def test_a_style_is_learnt_once_and_added_to_the_subject(tmp_path):
    style = {"method": "dco-style", "options": QUICK}
    table = in_style(tmp_path, Setting(method="dco", options=QUICK, style=style))
    assert table["status"].to_pylist() == ["ok"] * 2
    assert kept(tmp_path) == ["cat-1", "sunset"]
    (subject,) = tmp_path.glob("_meta/subjects/dco/cat-1-*/state.safetensors")
    (learnt,) = tmp_path.glob("_meta/subjects/dco-style/sunset-*/state.safetensors")
    assert table["subject_bytes"][0].as_py() > learnt.stat().st_size * 0.8
    times = subject.stat().st_mtime_ns, learnt.stat().st_mtime_ns
    alone = in_style(tmp_path, Setting(method="dco", options=QUICK, style=style), style=None)
    assert (subject.stat().st_mtime_ns, learnt.stat().st_mtime_ns) == times
    assert alone["image"].to_pylist() != table["image"].to_pylist()
    images = Measure(metrics={"dino": Dino(model="miniature:dino", regions=("whole",))}).setup()(
        Find(detect=DETECT, segment=SEGMENT).setup()(table)
    )
    assert "dino_style" in {value["name"] for value in images["scores"][0].as_py()}


def test_a_style_that_nobody_says_how_to_learn_is_told(tmp_path):
    table = in_style(tmp_path, Setting(method="dco", options=QUICK))
    assert set(table["reason"].to_pylist()) == {"cannot_run"}
    assert "style: {method: dco-style}" in table["detail"][0].as_py()
    assert in_style(tmp_path, Setting(method="plain"))["status"].to_pylist() == ["ok"] * 2


def test_subjects_are_learnt_together_where_the_setting_says_so(tmp_path):
    dog = Individual(name="dog-1", word="dog", references=(f"{CAT.replace('cat', 'dog')}/0",))
    pair = (*asked().individuals, dog)
    table = References(detect=DETECT, segment=SEGMENT).setup()(
        table_of(asked(individuals=pair, prompt="a cat and a dog"))
    )
    for together, names in ((True, ["cat-1+dog-1"]), (False, ["cat-1", "cat-1+dog-1", "dog-1"])):
        method = Setting(method="dreambooth", options=QUICK, together=together)
        meta = pa.array([asked(individuals=pair, prompt="a cat and a dog", method=method).text()])
        asked_for = table.set_column(table.column_names.index("source_meta"), "source_meta", meta)
        found = Generate(sampler=SAMPLER, folder=str(tmp_path)).setup()(asked_for)
        assert found["status"].to_pylist() == ["ok"], found["detail"]
        assert kept(tmp_path) == names


def test_a_reference_that_is_not_there_is_told(tmp_path):
    lost = (Individual(name="cat-1", word="cat", references=(str(tmp_path / "lost.jpg"),)),)
    table = References(detect=DETECT, segment=SEGMENT).setup()(table_of(asked(individuals=lost)))
    assert "lost.jpg" in table["detail"][0].as_py()


def test_a_failure_in_the_code_is_an_error_of_the_whole_set():
    def breaks(asked, rows):
        raise ZeroDivisionError("never")

    rows = set_function(References(), "references", breaks)(table_of(asked(0), asked(1))).to_pylist()
    assert [(row["status"], row["reason"], row["detail"]) for row in rows] == [
        ("error", "ZeroDivisionError", "never")
    ] * 2


def test_a_set_is_drawn_in_the_samplers_batches_to_the_same_pictures():
    """However many at a time: noise is a picture's own; only last bits may differ."""
    table = References(detect=DETECT, segment=SEGMENT).setup()(table_of(asked(0), asked(1)))
    drawn = [
        Generate(sampler=replace(SAMPLER, batch_size=size), folder="/nowhere").setup()(table)
        for size in (1, 8)
    ]
    for one, other in zip(*(each["image"].to_pylist() for each in drawn), strict=True):
        apart = np.abs(np.asarray(decoded(one), int) - np.asarray(decoded(other), int))
        assert apart.max() <= 3
    first, second = drawn[0]["image"].to_pylist()
    assert first != second


class _Unsure:
    """A metric that is not sure of anything."""

    def load(self):
        return lambda images: [{"unsure": float("nan")} for _ in images.pictures]


def test_a_score_that_is_no_number_is_an_error_with_the_metrics_name():
    table = Find(detect=DETECT, segment=SEGMENT).setup()(drawn())
    for row in Measure(metrics={"unsure": _Unsure()}).setup()(table).to_pylist():
        assert (row["status"], row["stage"]) == ("error", "measure")
        assert row["detail"] == "metric 'unsure' says nan for unsure"
