# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from models.metrics.dino import Dino
from models.metrics.lpips import Lpips
from pipeline.evaluate.config import EvaluateConfig, Finding
from pipeline.evaluate.sets import Protocol, Reported, SubjectSet
from pipeline.evaluate.summary import Method, higher_is_better, summed_up
from pipeline.evaluate.tables import markdown
from stages.base import Resources
from stages.set_row import Individual
from stages.setting import Setting

MUG = Individual(name="mug", word="mug")
CONFIG = EvaluateConfig(
    protocol=Protocol(sets=(), reported=(Reported(method="X", values={"DINO": 0.7}, source="a paper"),)),
    settings={name: Setting(method="plain") for name in ("plain", "good", "late")},
    metrics={"dino": Dino(), "lpips": Lpips()},
    seeds=(0,),
    sampler=None,
    negative=None,
    baseline="plain",
    comparisons=(("good", "late"),),
    finding=Finding(),
    workers=Resources(),
)


def row(setting, name, seed, scores, **changed):
    values = {"setting": setting, "set": name, "seed": seed, "place": 0, "status": "ok", "stage": None}
    values |= {"reason": None, "detail": None, "tuning_seconds": 0.0, "image_seconds": 1.0}
    return {**values, "subject_bytes": 0, "memory_bytes": 2**20, "scores": scores, **changed}


def method(**changed):
    values = {"name": "m", "pictures": 1, "drawn": 1, "why": {}, "values": {}, "differences": {}, "ranks": {}}
    values |= {"tuning_seconds": 0.0, "image_seconds": 2.0, "subject_bytes": 0, "memory_bytes": 0}
    return Method(**{**values, **changed})


def test_a_picture_that_is_not_there_is_counted_and_told():
    lost = {"status": "rejected", "stage": "generate", "reason": "cannot_run", "detail": "no weights"}
    rows = [row("plain", "a", 0, {"dino_whole_pairs": 0.5}), row("late", "a", 0, {}, **lost)]
    plain, late = summed_up(rows, CONFIG)
    assert (late.pictures, late.drawn, late.values, late.image_seconds) == (1, 0, {}, None)
    assert late.why == {"generate: cannot_run: no weights": 1}
    assert "- late: 1 of 1, generate: cannot_run: no weights" in markdown([plain, late], CONFIG, None)


def test_what_is_no_sample_is_in_no_mean():
    rows = [row("plain", "a", 0, {"dino_whole_pairs": 0.5})]
    rows += [row("plain", "b", 0, {"dino_whole_pairs": 0.9}, status="error", stage="write", reason="x")]
    (plain,) = summed_up(rows, CONFIG)
    assert plain.drawn == 1
    assert plain.values["dino_whole_pairs"].mean == 0.5


def test_differences_are_of_the_same_subjects():
    rows = [row("plain", n, s, {"dino_whole_pairs": 0.1 * k}) for k, n in enumerate("abcd") for s in (0, 1)]
    rows += [row("good", n, 0, {"dino_whole_pairs": 0.1 * k + 0.2}) for k, n in enumerate("abc")]
    plain, good = summed_up(rows, CONFIG)
    assert plain.differences == {}
    assert good.differences["dino_whole_pairs"].mean == pytest.approx(0.2)
    assert good.differences["dino_whole_pairs"].subjects == 3
    assert (good.ranks["dino_whole_pairs"], plain.ranks["dino_whole_pairs"]) == (1, 2)


def test_less_is_better_of_distances():
    assert not higher_is_better("lpips_subject_pairs", CONFIG)
    assert higher_is_better("dino_subject_pairs", CONFIG)
    assert higher_is_better("found", CONFIG)
    rows = [row(name, "a", 0, {"lpips_whole_pairs": far}) for name, far in (("plain", 0.1), ("good", 0.9))]
    plain, good = summed_up(rows, CONFIG)
    assert plain.ranks["lpips_whole_pairs"] == 1
    assert good.ranks["lpips_whole_pairs"] == 2


def test_who_learns_first_and_draws_faster_overtakes():
    learns, draws = method(tuning_seconds=300.0, image_seconds=8.3), method(image_seconds=21.3)
    assert learns.overtakes(draws) == 24
    assert learns.seconds(23) > draws.seconds(23)
    assert learns.seconds(24) < draws.seconds(24)
    assert draws.overtakes(learns) is None
    assert replace(learns, image_seconds=30.0).overtakes(draws) is None
    assert replace(learns, image_seconds=21.0).overtakes(draws) is None
    assert replace(learns, tuning_seconds=None).overtakes(draws) is None


def test_what_others_have_published_is_marked():
    table = markdown([method(name="plain")], CONFIG, {"noun": 0.99})
    assert "| method (reported) | DINO | source |" in table
    assert "| X | 0.7 | a paper |" in table
    assert "not run here" in table
    assert "Judge: its own accuracy on held-out renders: noun 0.990." in table


def test_what_the_judge_reads_stands_beside_how_well_it_reads():
    rows = [row("plain", "a", 0, {"judge_noun": 1.0, "dino_subject_pairs": 0.5})]
    table = markdown(summed_up(rows, CONFIG), CONFIG, {"noun": 0.99, "identity": 0.97})
    assert "| noun [judge 0.990] |" in table
    assert "| DINO, in pairs |" in table


def test_pairs_that_are_asked_for_are_compared_picture_by_picture():
    rows = [row("late", n, s, {"dino_subject_pairs": 0.1 * k}) for k, n in enumerate("abcef") for s in (0, 1)]
    rows += [row("good", n, 0, {"dino_subject_pairs": 0.1 * k + 0.2}) for k, n in enumerate("abcef")]
    # Only the picture that both have counts.
    rows += [
        row("late", "d", 0, {"dino_subject_pairs": 0.0}),
        row("late", "d", 1, {"dino_subject_pairs": 1.0}),
    ]
    rows += [row("good", "d", 0, {"dino_subject_pairs": 0.2})]
    good, late = summed_up(rows, CONFIG)
    assert late.compared == {}
    found = good.compared["late"]["dino_subject_pairs"]
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))
    table = markdown([good, late], CONFIG, None)
    assert "| good less late | **+0.200 (+0.200 to +0.200)** |" in table


def test_numbers_of_subjects_have_tables_of_their_own():
    sets = [SubjectSet(name=n, individuals=(MUG,) * len(n), prompts=("x",)) for n in ("a", "bb")]
    config = replace(CONFIG, protocol=Protocol(sets=tuple(sets)))
    rows = [row("plain", "a", 0, {"judge_noun": 1.0}), row("plain", "bb", 0, {"judge_noun": 0.0})]
    (plain,) = summed_up(rows, config)
    assert plain.values["judge_noun"].mean == 0.5
    assert {count: part.values["judge_noun"].mean for count, part in plain.by_count.items()} == {
        1: 1.0,
        2: 0.0,
    }
    table = markdown([plain], config, None)
    assert "Sets of 1 subject alone: means over sets" in table
    assert "Sets of 2 subjects alone: means over sets" in table
    assert "| plain | 1 set | 1.000" in table


def test_numbers_of_subjects_are_compared_by_themselves():
    sets = [SubjectSet(name=n, individuals=(MUG,) * len(n), prompts=("x",)) for n in ("a", "bb")]
    config = replace(CONFIG, protocol=Protocol(sets=tuple(sets)))
    rows = [row(m, n, 0, {"found": 0.5}) for m in ("plain", "late") for n in ("a", "bb")]
    rows += [row("good", n, 0, {"found": 0.5 + 0.1 * len(n)}) for n in ("a", "bb")]
    _, good, _ = summed_up(rows, config)
    assert {k: part.differences["found"].mean for k, part in good.by_count.items()} == pytest.approx(
        {1: 0.1, 2: 0.2}
    )
    assert good.by_count[2].compared["late"]["found"].mean == pytest.approx(0.2)


def test_sets_of_one_subject_are_one():
    """Such as the same subject in several styles."""
    names = [f"mug+{number}" for number in range(8)]
    sets = tuple(SubjectSet(name=name, individuals=(MUG,), prompts=("x",)) for name in names)
    rows = [row("plain", name, 0, {"found": 0.1}) for name in names]
    rows += [row("good", name, 0, {"found": 0.3}) for name in names]
    _, good = summed_up(rows, replace(CONFIG, protocol=Protocol(sets=sets)))
    found = good.differences["found"]
    assert (found.sets, found.subjects, found.apart) == (8, 1, False)


def test_a_set_belongs_to_the_subject_that_it_is_made_for():
    cup = Individual(name="cup", word="cup")
    sets = tuple(
        SubjectSet(name=n, individuals=(MUG, cup), prompts=("x",), about=about)
        for n, about in (("a", "mug"), ("b", "cup"), ("c", None))
    )
    assert [each.owner for each in sets] == ["mug", "cup", "mug"]
    rows = [row("plain", n, 0, {"found": 0.1 * k}) for k, n in enumerate("abc")]
    (plain,) = summed_up(rows, replace(CONFIG, protocol=Protocol(sets=sets)))
    assert plain.values["found"].subjects == 2


def test_what_breaks_tables_is_told_on_one_line():
    odd = Reported(method="a|b", values={"x|y": 1}, source="two\nlines")
    table = markdown(
        [method(name="plain")], replace(CONFIG, protocol=Protocol(sets=(), reported=(odd,))), None
    )
    assert "| method (reported) | x\\|y | source |" in table
    assert "| a\\|b | 1 | two lines |" in table


def test_ranks_are_told():
    rows = [row("plain", n, 0, {"found": 0.1}) for n in "ab"] + [
        row("good", n, 0, {"found": 0.2}) for n in "ab"
    ]
    table = markdown(summed_up(rows, CONFIG), CONFIG, None)
    ranks = table[table.index("Mean ranks over the sets") :]
    assert "| plain | 2.00 |" in ranks
    assert "| good | 1.00 |" in ranks


def test_few_subjects_are_never_bold():
    rows = [row("plain", n, 0, {"dino_subject_pairs": 0.0}) for n in "abcde"]
    rows += [row("good", n, 0, {"dino_subject_pairs": 0.2}) for n in "abcde"]
    assert "| good | +0.200 (+0.200 to +0.200) |" in markdown(summed_up(rows, CONFIG), CONFIG, None)
