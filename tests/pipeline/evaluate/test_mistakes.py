# SPDX-License-Identifier: Apache-2.0
"""What an evaluation's configuration may not say, each in one line that says what and where."""

from datetime import date

import pytest
import yaml
from PIL import Image

from pipeline.errors import UserError
from pipeline.evaluate.config import load_evaluation
from tests.pipeline.runs import one_line, subjectforge

PROTOCOL = {
    "subjects": [{"name": "dog-1", "word": "dog"}],
    "templates": ["a dog on the beach", "a dog at night"],
}
CONFIG = {"prompts": "prompts.yaml", "methods": {"plain": {}}, "metrics": {"judge": {}}}


def written(folder, protocol=PROTOCOL, **changed):
    (folder / "prompts.yaml").write_text(yaml.safe_dump(protocol))
    path = folder / "evaluation.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **changed}))
    return path


def test_what_is_right_is_read(tmp_path):
    config = load_evaluation(written(tmp_path))
    (each,) = config.protocol.sets
    assert each.prompts == ("a dog on the beach", "a dog at night")
    assert config.prompts == 2
    assert config.settings["plain"].method == "plain"


def test_boxes_and_styles_are_read(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "ink.png")
    style = {"name": "ink", "word": "ink", "references": ["ink.png"], "captions": ["a dog in ink style"]}
    sets = [{"subjects": ["dog-1"], "boxes": [[0, 0.25, 0.5, 1]], "prompts": ["a dog"]}]
    sets += [{"subjects": ["dog-1"], "style": "ink", "templates": ["{} at night {style}"]}]
    boxed, painted = load_evaluation(
        written(tmp_path, {**PROTOCOL, "sets": sets, "styles": [style]})
    ).protocol.sets
    assert boxed.boxes == ((0, 0.25, 0.5, 1),)
    assert (painted.name, painted.prompts) == ("dog-1+ink", ("a dog at night in ink style",))
    assert painted.style.references == (str(tmp_path / "ink.png"),)
    assert painted.style.captions == ("a dog in ink style",)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"methods": {"plain": {}, "dreambooht": {}}},
            "methods.dreambooht.method: no such method; did you mean",
        ),
        ({"methods": {"plain": 3}}, "methods.plain: expected names and values"),
        ({"methods": {"plain": [1]}}, "methods.plain: expected names and values"),
        ({"metrics": {"judge": "x"}}, "metrics.judge: expected names and values"),
        ({"methods": {"plain": {"options": {"lr": 1}}}}, "methods.plain.options.lr: no such key"),
        ({"methods": {"plain": {}, "dco": {"options": {"steps": 0}}}}, "steps is 0; it must be 1 or more"),
        ({"methods": {"plain": {"learned_as": "x"}}}, "methods.plain.learned_as: no method is called 'x'"),
        (
            {"methods": {"plain": {}, "dco": {"style": {"method": "dco-stile"}}}},
            "methods.dco.style.method: no",
        ),
        ({"methods": {"plain": {}, "dco": {"style": {}}}}, "methods.dco.style"),
        ({"comparisons": [["plain", "x"]]}, "comparisons: no method is called 'x'"),
        ({"comparisons": [["plain"]]}, "comparisons"),
        ({"methods": {}}, "methods: list them by name"),
        ({"methods": {"plain": {}, "..": {"method": "dco"}}}, "a method is called '..'"),
        ({"metrics": {"fid": {}}}, "metrics.fid: no metric is called 'fid'; known: clip_t"),
        ({"metrics": {"dino": {"model": 3}}}, "metrics.dino.model"),
        ({"metrics": {"dino": {"regions": ["middle"]}}}, "metrics.dino.regions"),
        ({"baseline": "consistory"}, "baseline: no method is called 'consistory'"),
        ({"seeds": [1, 1]}, "give at least one, each once"),
        ({"seeds": []}, "give at least one, each once"),
        ({"world": {"subjects": 2}}, "give one of world, prompts and dreambench"),
        ({"prompts": None}, "give one of world, prompts and dreambench"),
        ({"world": {"subjects": 0}, "prompts": None}, "world.subjects"),
        ({"prompts": "nowhere.yaml"}, "nowhere.yaml"),
        ({"colour": 1}, "colour: no such key; known: world"),
        ({"metric": {"judge": {}}}, "metric: no such key; did you mean 'metrics'?"),
        ({"sampler": {"step": 3}}, "sampler.step: no such key"),
        ({"sampler": {"steps": 0}}, "sampler.steps: Input should be greater"),
        ({"sampler": {"batch_size": 0}}, "sampler.batch_size: Input should be greater"),
        ({"sampler": {"guidance": float("nan")}}, "sampler.guidance: Input should be less"),
        ({"sampler": {"guidance": float("inf")}}, "sampler.guidance: Input should be less"),
        ({"methods": {"plain": {}, "dco": {"given": 0}}}, "methods.dco.given: Input should be greater"),
        ({"methods": {"plain": {}, "dco": {"learned_as": "plain"}}}, "learned_as: 'plain' learns nothing"),
        (
            {
                "methods": {
                    "plain": {},
                    "dco": {},
                    "a": {"method": "dco", "learned_as": "dco"},
                    "b": {"method": "dco", "learned_as": "a"},
                }
            },
            "methods.b.learned_as: 'a' takes what 'dco' has learnt; name 'dco' itself",
        ),
        ({"methods": {"plain": {}, "x" * 201: {"method": "dco"}}}, "give a shorter name"),
        ({"metrics": {"x": {"name": "os:path"}}}, "metrics.x: os:path is no metric"),
        ({"metrics": {"x": {"name": "models.generation:TextToImage"}}}, "is no metric"),
        ({"seeds": [10**30]}, "seeds"),
        ({"comparisons": [["plain", "plain"]]}, "'plain' is compared with itself"),
        (
            {"reported": [{"method": "x", "values": {"y": date(2024, 1, 1)}, "source": "z"}]},
            "reported.0.values: Input should be",
        ),
        *(
            (
                {"methods": {"plain": {}, "x": {"method": name, "options": {key: value}}}},
                f"{key}: {value} is no number",
            )
            for name, key in (
                ("dco", "beta"),
                ("cones2", "strength"),
                ("subject-diffusion", "image_guidance"),
            )
            for value in (float("nan"), float("inf"))
        ),
        ({"methods": {"plain": {}, "dco": {"options": {"seed": -1}}}}, "options.seed: is -1"),
        ({"methods": {"plain": {}, "dco": {"options": {"seed": 10**30}}}}, "is too large a number"),
        ({"methods": {"plain": {"learned_as": "dco"}, "dco": {}}}, "plain learns nothing that it could have"),
        (
            {"methods": {"plain": {}, "dco": {}, "x": {"method": "cones2", "learned_as": "dco"}}},
            "cones2 cannot draw with what dco has learnt",
        ),
        (
            {"methods": {"plain": {}, "dco": {"style": {"method": "plain"}}}},
            "plain learns nothing that can be",
        ),
        (
            {"methods": {"plain": {}, "dco": {"style": {"method": "dco-style", "learned_as": "x"}}}},
            "give method, options and given alone",
        ),
        ({"methods": {"plain": {}, "a,b": {"method": "dco"}}}, "leave commas to --methods"),
        ({"metrics": {"dino": {}, "x": {"name": "dino"}}}, "'dino' writes the columns dino_... already"),
        ({"metrics": {"dino": {"regions": []}}}, "metrics.dino.regions: name at least one"),
        (
            {"reported": [{"method": "x", "values": {"y": float("nan")}, "source": "z"}]},
            "reported.0.values: Input should be",
        ),
        ({"world": {"subjects": 3, "together": [4]}, "prompts": None}, "no 4 are of different nouns"),
    ],
)
def test_a_configuration_that_cannot_be(tmp_path, changed, words):
    with pytest.raises(UserError) as refusal:
        load_evaluation(written(tmp_path, **changed))
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"templates": ["a cat on the beach"]},
            "'a cat on the beach' of set 'dog-1' does not have its subject's",
        ),
        ({"templates": []}, "set 'dog-1' has no prompt"),
        ({"subjects": []}, "it has no subjects"),
        ({"subjects": [{"name": "a/b", "word": "dog"}]}, "is called 'a/b'; names are those of folders"),
        ({"subjects": [{"name": "a"}]}, "word"),
        ({"sets": [{"subjects": ["dog-2"]}]}, "no subject is called 'dog-2'"),
        ({"sets": [{"subjects": []}]}, "has no subject"),
        ({"sets": [{"subjects": ["dog-1"]}, {"subjects": ["dog-1"]}]}, "two sets are called 'dog-1'"),
        ({"sets": [{"subjects": ["dog-1"], "boxes": []}]}, "has 0 boxes for 1 subject"),
        *(
            ({"sets": [{"subjects": ["dog-1"], "boxes": [box]}]}, "boxes are x1, y1, x2, y2 in [0, 1]")
            for box in ([0, 0, 2, 1], [0.5, 0, 0.5, 1], [0.6, 0, 0.5, 1], [float("nan"), 0, 1, 1])
        ),
        ({"subjects": [{"name": "a", "word": " "}]}, "subject 'a' has no word; give what prompts call it"),
        (
            {"subjects": [{"name": "a", "word": "dog", "prompt": "a cat"}]},
            "the prompt 'a cat' of subject 'a' does not have its subject's word 'dog'",
        ),
        (
            {"subjects": [{"name": "a", "word": "dog", "captions": ["a cat"]}]},
            "the caption 'a cat' of subject 'a' does not have its subject's word 'dog'",
        ),
        ({"subjects": [{"name": "a", "word": "dog"}] * 2}, "subjects: two are called 'a'"),
        ({"sets": [{"subjects": ["dog-1", "dog-1"]}]}, "set 'dog-1+dog-1' has 'dog-1' twice"),
        (
            {
                "subjects": [{"name": n, "word": "dog"} for n in "ab"],
                "sets": [{"name": "x", "subjects": ["a", "b"], "prompts": ["a dog"]}],
            },
            "word 'dog' for 2 subjects; add it",
        ),
        ({"templates": ["{} on the {place}"]}, "has {place}, which nothing stands for"),
        ({"templates": ["{} in {style}"]}, "has {style}, which nothing stands for"),
        ({"subjects": [{"name": "a", "word": "dog", "references": [""]}]}, "a reference has no name"),
        (
            {"subjects": [{"name": "a", "word": "dog", "references": ["~nobodyxyz/a.png"]}]},
            "nobody of that name has a home here",
        ),
        (
            {"subjects": [{"name": "a", "word": "dog", "references": ["prompts.yaml"]}]},
            "prompts.yaml is no picture",
        ),
        (
            {"subjects": [{"name": "a", "word": "dog", "references": ["miniature:nope/0"]}]},
            "miniature:nope/0 is no picture of the world",
        ),
        (
            {
                "subjects": [
                    {
                        "name": "a",
                        "word": "dog",
                        "captions": ["a dog", "the dog"],
                        "references": ["miniature:style/sunset/0"],
                    }
                ]
            },
            "'a' has 2 captions for 1 picture; give one for each, or none",
        ),
        ({"subjects": [{"name": "a" * 400, "word": "dog"}]}, "of 400 letters; give a shorter name"),
        (
            {"sets": [{"subjects": ["dog-1"]}, {"name": "x", "subjects": ["dog-1"], "prompts": ["a dog"]}]},
            "all sets must have as many prompts; 'dog-1' has 2 prompts, 'x' has 1 prompt",
        ),
        ({"subjects": [{"name": "a", "word": "dog", "references": ["b.jpg"]}]}, "b.jpg"),
        ({"sets": [{"subjects": ["dog-1"], "style": "ink"}]}, "no style is called 'ink'"),
        (
            {"styles": [{"name": "ink", "word": "ink"}], "sets": [{"subjects": ["dog-1"], "style": "ink"}]},
            "does not have its style's word 'ink'",
        ),
    ],
)
def test_a_protocol_that_cannot_be(tmp_path, changed, words):
    with pytest.raises(UserError) as refusal:
        load_evaluation(written(tmp_path, {**PROTOCOL, **changed}))
    assert words in str(refusal.value)


def test_an_empty_file_of_prompts(tmp_path):
    path = written(tmp_path)
    (tmp_path / "prompts.yaml").write_text("")
    with pytest.raises(UserError, match="has no subjects"):
        load_evaluation(path)


def test_a_folder_of_references_stands_for_its_pictures(tmp_path):
    (tmp_path / "dog").mkdir()
    subjects = [{"name": "a", "word": "dog", "references": ["dog"]}]
    path = written(tmp_path, {**PROTOCOL, "subjects": subjects})
    with pytest.raises(UserError, match="has no pictures"):
        load_evaluation(path)
    for name in ("2.png", "1.jpg", "notes.txt"):
        Image.new("RGB", (8, 8)).save(tmp_path / "dog" / name, "PNG")
    found = load_evaluation(path).protocol.sets[0].individuals[0].references
    assert [name.rpartition("/")[2] for name in found] == ["1.jpg", "2.png"]


def test_texts_of_several_subjects_are_joined(tmp_path):
    subjects = [{"name": "a", "word": "dog", "text": "a small dog"}, {"name": "b", "word": "cat"}]
    sets = [{"subjects": ["a", "b"], "templates": ["{} on the beach"]}]
    config = load_evaluation(written(tmp_path, {"subjects": subjects, "sets": sets}))
    assert config.protocol.sets[0].prompts == ("a small dog and a cat on the beach",)
    assert config.protocol.sets[0].name == "a+b"


def test_on_the_command_line_too(tmp_path):
    path = written(tmp_path)
    local = ("--executor", "local")
    line = one_line(
        subjectforge("evaluate", path, "--output", tmp_path / "run", "--methods", "plian", *local)
    )
    assert "--methods plian: no such method in the configuration; did you mean 'plain'?" in line
    line = one_line(subjectforge("evaluate", path, "--output", "s3://bucket/run", *local))
    assert "evaluations are kept in a folder" in line
    assert not (tmp_path / "run").exists()
