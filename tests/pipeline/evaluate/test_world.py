# SPDX-License-Identifier: Apache-2.0
import pytest

from models.consistency.words import whole_words
from models.miniature.world import Identity, held_out_identity
from models.miniature.world.styles import STYLES
from models.references import BadReference, opened_reference
from pipeline.errors import UserError
from pipeline.evaluate.sets import checked
from pipeline.evaluate.world import World, world_protocol


def test_subjects_are_held_out_and_none_is_there_twice():
    protocol = world_protocol(World(subjects=24))
    identities = [Identity(**each.truth[0]["identities"][0]) for each in protocol.sets]
    assert all(map(held_out_identity, identities))
    assert len({*identities}) == 24
    assert len({identity.noun for identity in identities}) == 12


def test_the_same_configuration_asks_for_the_same():
    assert world_protocol(World(together=(1, 3))) == world_protocol(World(together=(1, 3)))
    assert world_protocol(World(seed=1)) != world_protocol(World(seed=2))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_sets_of_several_subjects_are_of_different_nouns_each_with_a_place(count):
    protocol = checked(world_protocol(World(together=(count,), sets=10)), "here")
    assert len(protocol.sets) == 10
    for each in protocol.sets:
        words = [individual.word for individual in each.individuals]
        assert len({*words}) == count
        assert (each.boxes is None) == (count == 1)
        for prompt, truth in zip(each.prompts, each.truth, strict=True):
            assert all(whole_words(prompt, word) for word in words)
            assert [one["noun"] for one in truth["identities"]] == words
        assert len({truth["background"] for truth in each.truth}) == 5


def test_no_two_sets_are_the_same_however_few_subjects_there_are():
    protocol = checked(world_protocol(World(subjects=4, together=(2,))), "here")
    assert len({each.name for each in protocol.sets}) == 4
    with pytest.raises(UserError, match="there are no 3 different sets of 3; raise"):
        world_protocol(World(subjects=3, together=(3,)))
    with pytest.raises(UserError, match="there are no 9 different sets of 1"):
        world_protocol(World(subjects=4, sets=9))


def test_references_show_the_identity_that_their_name_says():
    (each,) = world_protocol(World(subjects=1)).sets
    (individual,) = each.individuals
    pictures = [opened_reference(name) for name in individual.references]
    assert len(pictures) == len(individual.captions) == 4
    assert len({picture.tobytes() for picture in pictures}) == 4


@pytest.mark.parametrize("name", ["miniature:cat/0", "miniature:cat-red-blue-plain-slim-0/9", "nowhere.png"])
def test_a_reference_that_is_none_is_named(name):
    with pytest.raises(BadReference, match=name.partition("/")[0]):
        opened_reference(name)


def test_prompts_state_what_they_are_asked_to(tmp_path):
    world = World(subjects=4, together=(1, 2), sets=2, prompts=2, stated=("body", "pattern"))
    for each in checked(world_protocol(world), "here").sets:
        for prompt, truth in zip(each.prompts, each.truth, strict=True):
            for one, stated in zip(truth["identities"], truth["stated"], strict=True):
                assert stated == {name: one[name] for name in ("body", "pattern")}
                assert f"{one['pattern']} {one['body']} {one['noun']}" in prompt
        for individual, one in zip(each.individuals, each.truth[0]["identities"], strict=True):
            assert one["body"] in individual.prompt
    assert "stated" not in world_protocol(World(subjects=1)).sets[0].truth[0]


def test_styles_are_asked_for_with_pictures_of_others(tmp_path):
    protocol = checked(world_protocol(World(subjects=2, prompts=3, styles=("sunset", "moonlight"))), "here")
    assert len({each.name for each in protocol.sets}) == 4
    for each in protocol.sets:
        assert each.name.endswith(each.style.name)
        assert all(whole_words(prompt, each.style.word) for prompt in each.prompts)
        assert {truth["style"] for truth in each.truth} == {each.style.name}
        assert len(each.style.references) == len(each.style.captions) == 4
        for name, caption in zip(each.style.references, each.style.captions, strict=True):
            assert STYLES[each.style.name].shown(opened_reference(name)) > 0.99
            assert len(whole_words(caption, each.style.word)) == 1
    with pytest.raises(UserError, match="no style 'sunsett'; did you mean"):
        world_protocol(World(styles=("sunsett",)))
    with pytest.raises(BadReference, match="no picture of a style"):
        opened_reference("miniature:style/sunset/9")


def test_without_references_nobody_has_to_look_like_anybody():
    (each,) = world_protocol(World(subjects=1, references=0)).sets
    assert "identities" not in each.truth[0]
    assert each.individuals[0].references == ()
