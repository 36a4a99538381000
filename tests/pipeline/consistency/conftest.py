# SPDX-License-Identifier: Apache-2.0
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    path.write_text("# places\na cat in the snow\n\na cat on the beach\n")
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for name, colour in (("one", "red"), ("two", "blue")):
        paths.append(folder / f"{name}.png")
        Image.new("RGB", (64, 64), colour).save(paths[-1])
    return paths
