# SPDX-License-Identifier: Apache-2.0
from tests.pipeline.runs import ROOT, one_line, subjectforge


def test_another_package_called_models_is_named(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    run = subjectforge("ls", "stages", PYTHONPATH=f"{tmp_path}:{ROOT}", cwd=tmp_path)
    line = one_line(run)
    assert str(tmp_path / "models") in line
    assert str(ROOT / "models") in line


def test_nothing_in_the_way_nothing_said():
    assert subjectforge("ls", "backends").returncode == 0
