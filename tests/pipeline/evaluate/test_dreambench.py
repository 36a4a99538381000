# SPDX-License-Identifier: Apache-2.0
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.evaluate.dreambench import CLASSES, DreamBench, dreambench_protocol
from pipeline.evaluate.sets import checked

FILE = """Classes
subject_name,class
dog,dog
vase,flower vase

Object Prompts
prompt_list = [
'a {0} {1} on a shelf'.format(unique_token, class_token),
"a {0} {1} by a river".format(unique_token, class_token),
]
Live Subject Prompts
prompt_list = [
'a {0} {1} in a boat'.format(unique_token, class_token),
'a {0} {1} on a hill'.format(unique_token, class_token),
]
"""


def benched(folder, names=tuple(CLASSES)):
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8)).save(folder / name / f"0{number}.jpg")
    return folder


def test_every_subject_has_its_pictures_and_25_prompts(tmp_path):
    protocol = checked(
        dreambench_protocol(DreamBench(folder="bench"), benched(tmp_path / "bench").parent), ""
    )
    assert len(protocol.sets) == len(CLASSES) == 30
    for each in protocol.sets:
        (individual,) = each.individuals
        assert individual.word == CLASSES[individual.name]
        assert len({*individual.references}) == 4
        assert len({*each.prompts}) == 25


@pytest.mark.parametrize("count", [2, 4, 6])
def test_several_together_are_of_different_classes(tmp_path, count):
    benched(tmp_path)
    asked = DreamBench(folder=str(tmp_path), together=(count,))
    protocol = checked(dreambench_protocol(asked, tmp_path), "")
    assert protocol == dreambench_protocol(asked, tmp_path)
    assert len(protocol.sets) == 30
    for each in protocol.sets:
        assert len({individual.word for individual in each.individuals}) == count
        assert len({*each.prompts}) == 25


def test_its_own_prompts_and_classes_are_used_where_they_are(tmp_path):
    benched(tmp_path, ("dog", "vase"))
    (tmp_path / "prompts_and_classes.txt").write_text(FILE)
    protocol = checked(dreambench_protocol(DreamBench(folder=str(tmp_path)), tmp_path), "")
    dog, vase = protocol.sets
    assert dog.prompts == ("a dog in a boat", "a dog on a hill")
    assert vase.prompts == ("a flower vase on a shelf", "a flower vase by a river")


@pytest.mark.parametrize(
    ("names", "together", "words"),
    [
        ((), (1,), "no folders with pictures"),
        (("dog", "dog2"), (2,), "different classes"),
        (("dog",), (2,), "has 1"),
    ],
)
def test_a_folder_that_has_too_little(tmp_path, names, together, words):
    benched(tmp_path, names)
    with pytest.raises(UserError, match=words):
        dreambench_protocol(DreamBench(folder=str(tmp_path), together=together), tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        dreambench_protocol(DreamBench(folder="nowhere"), tmp_path)
