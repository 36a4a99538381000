# SPDX-License-Identifier: Apache-2.0
"""The rules of the house: which way imports point, what starting up may cost, how files begin."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "ray", "transformers", "diffusers", "spacy")
PACKAGES = {"models": 0, "stages": 1, "pipeline": 2}
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def test_imports_point_from_pipeline_to_stages_to_models():
    for path in FILES:
        own = PACKAGES[path.relative_to(ROOT).parts[0]]
        for name in imports(path):
            other = PACKAGES.get(name.split(".")[0])
            assert other is None or other <= own, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize(
    "module",
    ["pipeline.cli", "pipeline.config", "pipeline.plan", "pipeline.listings", "models.miniature.world"]
    + [f"stages.{path.stem}" for path in sorted((ROOT / "stages").glob("*.py")) if path.stem != "__init__"]
    + [
        f"models.backends.{path.stem}"
        for path in sorted((ROOT / "models" / "backends").glob("*.py"))
        if path.stem != "__init__"
    ]
    + [
        f"models.metrics.{path.stem}"
        for path in sorted((ROOT / "models" / "metrics").glob("*.py"))
        if path.stem != "__init__"
    ],
)
def test_importing_a_definition_loads_nothing_heavy(module):
    code = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_plan_and_ls_load_nothing_heavy():
    for arguments in (
        ["plan", "configs/build/full.yaml"],
        ["ls", "stages"],
        ["ls", "backends"],
        ["ls", "metrics"],
    ):
        code = (
            "import sys; from pipeline.cli import app\n"
            f"try: app({arguments!r})\nexcept SystemExit as end: assert not end.code, end.code\n"
            "print([m for m in ('torch', 'ray', 'transformers', 'spacy') if m in sys.modules])"
        )
        out = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert out.stdout.strip().endswith("[]")


def test_every_file_says_its_licence():
    for path in [
        *FILES,
        *sorted((ROOT / "tests").rglob("*.py")),
        *sorted((ROOT / "benchmarks").rglob("*.py")),
    ]:
        if path.read_text():
            assert path.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n"), path


def test_the_check_knows_the_schema_and_the_file_names_and_nothing_of_the_writer():
    found = {f"pipeline.dataset.{path.stem}" for path in (ROOT / "pipeline" / "dataset").glob("verify*.py")}
    assert len(found) > 5
    allowed = found | {
        f"pipeline.dataset.{name}"
        for name in ("layout", "local_copy", "parts", "problem", "run_lengths", "special")
    }
    allowed |= {"pipeline.errors", "pipeline.wording", "pipeline.yaml_file"}
    allowed |= {"stages.columns", "stages.extra_columns", "stages.parse", "stages.shard.files"}
    allowed |= {f"stages.shard.{name}" for name in ("place", "remote_path", "uri")}
    for module in sorted(allowed):
        for name in imports(ROOT / (module.replace(".", "/") + ".py")):
            known = name in allowed or name.split(".")[0] not in PACKAGES
            assert known, f"{module} imports {name}"


def test_there_are_no_drawers_for_odds_and_ends():
    assert not [path for path in FILES if path.stem in {"utils", "common", "helpers", "core", "misc"}]


def test_parquet_is_not_read_from_streams_of_python():
    """See `stages.shard.place.open_parquet`; without reading ahead it is safe."""
    for path in FILES:
        for line in path.read_text().splitlines():
            if "read_table(stream" in line or "ParquetFile(stream" in line:
                raise AssertionError(f"{path}: {line.strip()}")


def test_nothing_loads_pickles():
    for path in FILES:
        text = path.read_text()
        assert "import pickle" not in text
        assert "torch.load(" not in text or "weights_only=True" in text, path


def test_every_configuration_opens_with_its_command_and_what_to_expect():
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        first, *rest = path.read_text().splitlines()
        assert first.startswith("# COMMAND  "), path
        assert any(line.startswith("# EXPECT  ") for line in rest[:4]), path
