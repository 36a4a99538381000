# SPDX-License-Identifier: Apache-2.0
import dataclasses
from pathlib import Path

import pytest
import yaml

from models.backends.clip import Clip
from models.backends.grounding_dino import GroundingDino
from pipeline.config import fingerprint, load_config, resolved
from pipeline.errors import UserError
from stages import STAGES

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "build").glob("*.yaml"))


def config_of(tmp_path, text, *overrides):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return load_config(path, overrides)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_loads_and_survives_a_round_trip(path, tmp_path):
    config = load_config(path)
    assert list(config.stages) == list(STAGES)
    again = config_of(tmp_path, yaml.safe_dump(resolved(config), sort_keys=False))
    assert again == config


def test_an_empty_file_means_the_defaults(tmp_path):
    config = config_of(tmp_path, "")
    assert config.shard_size == 1000
    assert config.stages["detect"].box_threshold == 0.25
    assert config.stages["detect"].detector == GroundingDino()


def test_overrides_win_over_the_file_and_may_go_deep(tmp_path):
    text = "stages: {detect: {box_threshold: 0.4}}"
    config = config_of(
        tmp_path,
        text,
        "stages.detect.box_threshold=0.3",
        "stages.detect.detector.model=/somewhere",
        "shard_size=7",
        "stages.nouns.stop_nouns=[snow, sky]",
        "stages.detect.resources.workers=3",
    )
    detect = config.stages["detect"]
    assert (config.shard_size, detect.box_threshold) == (7, 0.3)
    assert (detect.detector.model, detect.resources.workers) == ("/somewhere", 3)
    assert config.stages["nouns"].stop_nouns == ("snow", "sky")


@pytest.mark.parametrize(("text", "value"), [("1e-1", 0.1), ("2E-1", 0.2), ("3.e-1", 0.3)])
def test_numbers_with_exponents_are_numbers(tmp_path, text, value):
    from_file = config_of(tmp_path, f"stages: {{detect: {{box_threshold: {text}}}}}")
    from_override = config_of(tmp_path, "", f"stages.detect.box_threshold={text}")
    assert from_file.stages["detect"].box_threshold == from_override.stages["detect"].box_threshold == value


def test_an_override_goes_below_a_null(tmp_path):
    config = config_of(tmp_path, "stages: {detect: {resources: null}}", "stages.detect.resources.workers=2")
    assert config.stages["detect"].resources.workers == 2
    assert config_of(tmp_path, "stages: {detect: {resources: null}}").stages["detect"].resources is None


def test_an_optional_backend_is_none_until_it_is_named(tmp_path):
    assert config_of(tmp_path, "").stages["score"].similarity is None
    named = config_of(tmp_path, "stages: {score: {similarity: {name: clip, dtype: bfloat16}}}")
    assert named.stages["score"].similarity == Clip(dtype="bfloat16")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("shard_sise: 3", ["shard_sise", "did you mean 'shard_size'"]),
        ("shard_size: many", ["shard_size", "integer"]),
        ("shard_size: 100001", ["shard_size"]),
        ("shard_size: 0", ["shard_size", "greater than or equal to 1"]),
        ("shard_size: true", ["shard_size", "integer", "True"]),
        ("shard_size: '3'", ["shard_size", "integer", "'3'"]),
        ("shard_size: 3\nshard_size: 4", ["'shard_size' is given twice", "line 2"]),
        ("stages: 3", ["stages", "3"]),
        ("stages: {1: {}}", ["stages.1", "no such stage"]),
        ("stages: {detect: {box_threshold: .nan}}", ["stages.detect.box_threshold", "nan"]),
        ("stages: {detect: {box_threshold: -5}}", ["stages.detect.box_threshold", "-5"]),
        ("stages: {detect: {batch_size: 0}}", ["stages.detect.batch_size", "0"]),
        ("stages: {detect: {resources: {workers: 0}}}", ["stages.detect.resources.workers", "0"]),
        ("stages: {detect: {resources: {cpus: -1}}}", ["stages.detect.resources.cpus", "-1"]),
        ("stages: {detect: {detector: {device: potato}}}", ["stages.detect.detector", "device", "potato"]),
        ("stages: {detect: {detector: {dtype: potato}}}", ["stages.detect.detector.dtype", "potato"]),
        ("stages: {nouns: {min_nouns: 9}}", ["stages.nouns", "min_nouns is 9"]),
        ("stages: {nouns: {stop_nouns: snow}}", ["stages.nouns.stop_nouns", "list"]),
        ("stages: {select: {min_area: 0.5, max_area: 0.4}}", ["stages.select", "min_area is 0.5"]),
        ("stages: {write: {folder: /tmp}}", ["stages.write.folder", "no such key"]),
        ("stages: {write: {split: ../up}}", ["stages.write", "split"]),
        ("chain: []", ["chain", "must end in 'write'"]),
        ("chain: [read]", ["chain", "must end in 'write'"]),
        ("chain: read", ["chain", "list"]),
        ("chain: [read, read, write]", ["chain", "'read' is in it twice"]),
        ("stages: {detekt: {}}", ["stages.detekt", "did you mean 'detect'"]),
        (
            "stages: {detect: {box_treshold: 0.3}}",
            ["stages.detect.box_treshold", "did you mean 'box_threshold'"],
        ),
        ("stages: {detect: {box_threshold: high}}", ["stages.detect.box_threshold", "number", "'high'"]),
        ("stages: {detect: 3}", ["stages.detect", "expected keys"]),
        (
            "stages: {detect: {detector: {name: yolo}}}",
            ["stages.detect.detector.name", "yolo", "grounding_dino"],
        ),
        (
            "stages: {detect: {detector: {modle: x}}}",
            ["stages.detect.detector.modle", "did you mean 'model'"],
        ),
        ("stages: {score: {similarity: {}}}", ["stages.score.similarity", "say which"]),
        ("stages: {select: {max_entities: 999}}", ["stages.select", "max_entities"]),
        ("stages: {detect: {resources: {gpu: 1}}}", ["stages.detect.resources.gpu", "did you mean 'gpus'"]),
        ("source: {kind: [1]}", ["source.kind", "'webdataset'"]),
        ("source: {kind: zip}", ["source.kind", "'webdataset'", "'zip'"]),
        ("chain: [read, filter_image, detect]", ["'detect' reads 'nouns'"]),
        ("chain: [read, no_such_stage]", ["no_such_stage", "known"]),
        ("chain: [read, 'no.such:Stage']", ["no.such:Stage", "cannot be imported"]),
        ("[1, 2]", ["expected keys and values"]),
        ("a: [", ["not valid YAML"]),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path, text, parts):
    with pytest.raises(UserError) as error:
        config_of(tmp_path, text)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    "override", ["shard_size", "shard_size.deep=1", "stages.detect.box_treshold=1", "shard_size=["]
)
def test_a_bad_override_is_refused(tmp_path, override):
    with pytest.raises(UserError):
        config_of(tmp_path, "shard_size: 3", override)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml")


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        load_config(tmp_path / "run.yaml")


def test_the_fingerprint_ignores_order_and_sees_every_change():
    one = {"a": 1, "b": {"c": [1, 2]}}
    assert fingerprint(one) == fingerprint({"b": {"c": [1, 2]}, "a": 1})
    assert fingerprint(one) != fingerprint({"a": 1, "b": {"c": [2, 1]}})


def test_a_third_partys_stage_takes_its_place_in_the_chain(tmp_path):
    chain = [*STAGES]
    chain.insert(2, "tests.pipeline.my_stage:Brightness")
    mine = {"tests.pipeline.my_stage:Brightness": {"darkest": 12.5}}
    text = yaml.safe_dump({"chain": chain, "stages": mine})
    config = config_of(tmp_path, text)
    assert list(config.stages)[2].endswith("Brightness")
    assert list(config.stages.values())[2].darkest == 12.5
    assert all(dataclasses.is_dataclass(stage) for stage in config.stages.values())
