# SPDX-License-Identifier: Apache-2.0
"""What every metric says of sets whose answer is known: one subject, several, the same picture, noise."""

from dataclasses import replace

import pytest

from models.metrics.clip_image import ClipImage
from models.metrics.clip_text import ClipText
from models.metrics.dino import Dino
from models.metrics.judge import MiniatureJudge
from models.metrics.layout import Layout
from models.miniature.world.styles import STYLES
from tests.models.metrics.pictured import (
    CAT,
    PLACES,
    mean,
    noise,
    others,
    rendered,
    same,
    set_of,
    without_subject,
)

EMBEDDED = {"clip_i": ClipImage(model="miniature:clip"), "dino": Dino(model="miniature:dino")}


@pytest.fixture(scope="module")
def loaded():
    found = {name: metric.load() for name, metric in EMBEDDED.items()}
    found["clip_t"] = ClipText(model="miniature:clip").load()
    found["layout"] = Layout(model="miniature:dino").load()
    found["judge"] = MiniatureJudge().load()
    return found


@pytest.fixture(scope="module")
def one_cat():
    return set_of([CAT] * 5, references=[rendered(CAT, "street", 9)])


@pytest.fixture(scope="module")
def five_cats():
    return set_of(others(), references=[rendered(CAT, "street", 9)])


@pytest.mark.parametrize("name", EMBEDDED)
def test_one_subject_is_more_alike_than_several(loaded, one_cat, five_cats, name):
    alike, unlike = loaded[name](one_cat), loaded[name](five_cats)
    for kind in ("pairs", "reference"):
        column = f"{name}_subject_{kind}"
        assert mean(alike, column) > mean(unlike, column) + 0.05, column


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_same_picture_is_most_alike_in_every_region(loaded, one_cat, name):
    found = loaded[name](same(one_cat))
    for region in ("whole", "subject", "background"):
        assert mean(found, f"{name}_{region}_pairs") == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", EMBEDDED)
def test_backgrounds_are_compared_without_the_subject(loaded, name):
    two = [CAT, others()[0]]
    one_place = loaded[name](set_of(two, ("snow", "snow")))
    two_places = loaded[name](set_of(two, ("snow", "night")))
    column = f"{name}_background_pairs"
    assert mean(one_place, column) > mean(two_places, column)


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_subject_that_is_not_found_counts_as_unlike(loaded, one_cat, name):
    whole, lacking = loaded[name](one_cat), loaded[name](without_subject(one_cat, 2))
    column = f"{name}_subject_pairs"
    assert lacking[2][column] == 0
    assert lacking[2][f"{name}_subject_reference"] == 0
    assert lacking[0][column] < whole[0][column]


@pytest.mark.parametrize("name", [*EMBEDDED, "clip_t"])
def test_a_batch_does_not_change_what_is_found(one_cat, name):
    metric = {**EMBEDDED, "clip_t": ClipText(model="miniature:clip")}[name]
    several, single = metric.load()(one_cat), replace(metric, batch_size=1).load()(one_cat)
    for one, other in zip(several, single, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_the_order_of_a_set_does_not_matter(loaded, one_cat):
    turned = replace(
        one_cat, pictures=one_cat.pictures[::-1], prompts=one_cat.prompts[::-1], truth=one_cat.truth[::-1]
    )
    for name, measure in loaded.items():
        for one, other in zip(measure(one_cat), measure(turned)[::-1], strict=True):
            assert one == pytest.approx(other, abs=1e-5), name


def test_prompts_of_other_pictures_fit_less(loaded, one_cat):
    turned = replace(one_cat, prompts=(*one_cat.prompts[1:], one_cat.prompts[0]))
    right, wrong = loaded["clip_t"](one_cat), loaded["clip_t"](turned)
    nothing = loaded["clip_t"](noise(one_cat))
    assert mean(right, "clip_t_whole") > mean(wrong, "clip_t_whole") + 0.05
    assert mean(right, "clip_t_whole") > mean(nothing, "clip_t_whole") + 0.05


def test_the_background_decides_how_well_a_place_fits(loaded, one_cat):
    turned = replace(one_cat, prompts=(*one_cat.prompts[1:], one_cat.prompts[0]))
    right, wrong = loaded["clip_t"](one_cat), loaded["clip_t"](turned)
    assert mean(right, "clip_t_background") > mean(wrong, "clip_t_background") + 0.05


def test_layouts_differ_where_the_subject_is_elsewhere(loaded):
    still = set_of([CAT] * 2, ("snow", "snow"))
    corner = rendered(CAT, "snow", 1, centre=(0.3, 0.3), side=0.4)
    moved = replace(still, pictures=(still.pictures[0], corner))
    found = [mean(loaded["layout"](images), "layout_pairs") for images in (same(still), still, moved)]
    assert found[0] == 0
    assert found[0] <= found[1] < found[2] - 0.05


def test_a_single_picture_has_no_pairs(loaded, one_cat):
    alone = set_of([CAT], ("snow",))
    assert loaded["layout"](alone) == [{}]
    for name in EMBEDDED:
        assert not any(column.endswith("_pairs") for column in loaded[name](alone)[0])


def test_the_judge_knows_the_subject_and_its_place(loaded, one_cat, five_cats):
    right, wrong = loaded["judge"](one_cat), loaded["judge"](five_cats)
    assert mean(right, "judge_identity_pairs") == 1
    assert mean(right, "judge_identity_reference") == 1
    assert mean(right, "judge_all_reference") == 1
    assert mean(right, "judge_background") == 1
    assert mean(wrong, "judge_noun") == 1
    assert mean(wrong, "judge_identity_pairs") == 0
    assert mean(wrong, "judge_identity_reference") == 0


def test_the_judge_sees_no_subject_in_noise_that_it_could_call_right(loaded, one_cat):
    found = loaded["judge"](noise(one_cat))
    assert mean(found, "judge_identity_reference") == 0


def test_a_style_is_compared_with_its_pictures_and_taken_off_before_the_judge_reads(loaded, one_cat):
    style = STYLES["sunset"]
    of = tuple(style.painted(rendered(who, "street", 3).image) for who in others(2))
    truth = tuple({**each, "style": "sunset"} for each in one_cat.truth)
    plain = replace(one_cat, style=of, truth=truth)
    shown = [replace(each, image=style.painted(each.image)) for each in one_cat.pictures]
    painted = replace(plain, pictures=tuple(shown))
    for name in EMBEDDED:
        with_style, without = loaded[name](painted), loaded[name](plain)
        assert mean(with_style, f"{name}_style") > mean(without, f"{name}_style") + 0.02
        assert f"{name}_style" not in loaded[name](one_cat)[0]
    assert [each["judge_style"] for each in loaded["judge"](painted)] == [1] * 5
    assert [each["judge_style"] for each in loaded["judge"](plain)] == [0] * 5
    for images in (painted, plain):
        assert mean(loaded["judge"](images), "judge_identity_reference") == 1


def test_what_a_prompt_states_is_looked_for(loaded):
    stated = [{"body": "orange"}, {"body": "orange", "pattern": "plain"}]
    images = set_of([CAT] * 2, PLACES[:2])
    truth = tuple(
        {"stated": [each], "boxes": [box]}
        for each, box in zip(stated, ([0.3, 0.3, 0.7, 0.7], [0, 0, 0.2, 0.2]), strict=True)
    )
    found = loaded["judge"](replace(images, truth=truth))
    assert [each["judge_stated"] for each in found] == [1, 0]
    assert [each["judge_position"] for each in found] == [1, 0]
    assert "judge_identity_reference" not in found[0]
