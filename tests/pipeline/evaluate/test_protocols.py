# SPDX-License-Identifier: Apache-2.0
"""The configurations that are shipped."""

import shutil

import pytest
import yaml
from PIL import Image

from pipeline.errors import UserError
from pipeline.evaluate.config import load_evaluation
from tests.pipeline.evaluate.test_dreambench import benched
from tests.pipeline.runs import ROOT

FOLDER = ROOT / "configs" / "evaluate"
SHIPPED = [path for path in sorted(FOLDER.rglob("*.yaml")) if path.parent.name != "prompts"]
SIZES = {
    "consistory": (100, 5),
    "oneactor": (32, 40),
    "chosen_one": (20, 8),
    "dreambench": (30, 25),
    "dreambench_two": (30, 25),
    "dco": (30, 25),
    "dco_styles": (24, 5),
    "cones2": (70, 10),
    "miniature": (24, 5),
}


def with_pictures(path, folder):
    """The same configuration where its pictures are."""
    with pytest.raises(UserError, match=r"no picture .*data/dreambench/"):
        load_evaluation(path)
    configs = folder / "configs" / "evaluate"
    (configs / "prompts").mkdir(parents=True)
    protocol = (FOLDER / "prompts" / path.name).read_text()
    (configs / "prompts" / path.name).write_text(protocol)
    for subject in yaml.safe_load(protocol)["subjects"]:
        place = folder / "data" / "dreambench" / subject["name"]
        place.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(place / "0.jpg")
    (folder / "data" / "styles").mkdir()
    for style in yaml.safe_load(protocol)["styles"]:
        Image.new("RGB", (8, 8)).save(folder / "data" / "styles" / f"{style['name']}.jpg")
    return shutil.copy(path, configs / path.name)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_one_is_a_configuration_of_the_size_that_it_says(path, tmp_path):
    changed = []
    if "dreambench:" in path.read_text():
        with pytest.raises(UserError, match=r"data/dreambench is no folder"):
            load_evaluation(path)
        changed = [f"dreambench.folder={benched(tmp_path / 'bench')}"]
    if path.stem == "dco_styles":
        path = with_pictures(path, tmp_path)
    config = load_evaluation(path, changed)
    assert config.protocol.source
    assert config.baseline == "plain"
    if path.parent == FOLDER and path.stem in SIZES:
        sets, prompts = SIZES[path.stem]
        assert (len(config.protocol.sets), config.prompts) == (sets, prompts)


def test_the_miniature_is_as_large_as_its_claims_need():
    config = load_evaluation(FOLDER / "miniature.yaml")
    assert len(config.protocol.sets) >= 24
    assert config.prompts >= 5
    assert len(config.seeds) >= 3
