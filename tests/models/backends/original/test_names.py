# SPDX-License-Identifier: Apache-2.0
"""Checkpoints with the names and shapes that the authors' packages give them, as transformers loads them.

The packages themselves are compared in tests/original, which also see that these names are still theirs.
"""

import pytest
import torch
from transformers import GroundingDinoForObjectDetection, SamModel

from models.backends.grounding_dino import GroundingDino
from models.backends.original.checkpoint import naming, read_checkpoint
from models.backends.original.convert import converted, kind_of
from models.backends.original.dino_layout import dino_layout
from models.backends.original.groundingdino_py import GroundingDinoPy
from models.backends.original.package import MissingPackage
from models.backends.original.renamed import Rule, filled, renamed, used
from models.backends.original.sam_layout import sam_layout
from models.backends.original.segment_anything import SegmentAnything
from models.backends.protocols import MissingWeights
from models.backends.sam import Sam
from models.backends.weights import located
from tests.commands import run_command
from tests.models.backends.original.checkpoints import NAMES, checkpoint
from tests.pipeline.runs import one_line

TEXT = located("miniature:detector")


@pytest.mark.parametrize(
    ("kind", "loader", "backend"),
    [("grounding_dino", GroundingDinoForObjectDetection, GroundingDino), ("sam", SamModel, Sam)],
)
def test_every_weight_finds_its_place(tmp_path, kind, loader, backend):
    path = checkpoint(kind, tmp_path)
    assert converted(path, tmp_path / "to", TEXT, 4) == kind
    before, after = torch.load(path, weights_only=True), loader.from_pretrained(tmp_path / "to").state_dict()
    sums = {round(float(each.double().sum()), 6) for each in after.values()}
    whole = [name for name in before if "qkv" not in name and "in_proj" not in name and "pixel" not in name]
    lost = [n for n in whole if round(float(before[n].double().sum()), 6) not in sums]
    assert all("relative_position_index" in name or "pooler" in name for name in lost), lost
    backend(model=str(tmp_path / "to"), device="cpu").load()


@pytest.mark.parametrize("kind", ["grounding_dino", "sam"])
def test_parts_that_are_missing_or_too_many_are_told(tmp_path, kind):
    first = next(name for name in NAMES[kind] if "norm2.weight" in name)
    with pytest.raises(MissingWeights, match="lacks 1 parts"):
        converted(checkpoint(kind, tmp_path, **{first: None}), tmp_path / "to", TEXT, 4)
    with pytest.raises(MissingWeights, match=r"has extra\.weight"):
        converted(checkpoint(kind, tmp_path, **{"extra.weight": torch.ones(1)}), tmp_path / "to", TEXT, 4)
    with pytest.raises(MissingWeights, match="sizes cannot be read"):
        converted(checkpoint(kind, tmp_path, **{first: torch.ones(3)}), tmp_path / "to", TEXT, 4)
    assert not (tmp_path / "to").exists()


def test_other_models_are_told():
    with pytest.raises(MissingWeights, match="neither of Grounding DINO nor of SAM"):
        kind_of({"conv1.weight": torch.ones(1)})


def test_fused_weights_are_taken_apart():
    rules = (Rule(r"a\.(\d)\.qkv\.(\w+)", r"b.\1.{}.\2", ("q", "k", "v")), Rule("c", "d"))
    weights = {"a.3.qkv.bias": torch.arange(6), "c": torch.ones(1), "e.x": torch.ones(1)}
    found = renamed(used(weights, r"e\..*"), rules)
    assert {name: each.tolist() for name, each in found.items()} == {
        "b.3.q.bias": [0, 1],
        "b.3.k.bias": [2, 3],
        "b.3.v.bias": [4, 5],
        "d": [1],
    }


def test_a_model_is_filled_whole_or_not_at_all():
    model = torch.nn.Linear(2, 1)
    with pytest.raises(MissingWeights, match="lacks 1 parts, such as bias"):
        filled(model, {"weight": torch.ones(1, 2)})
    filled(model, {"weight": torch.ones(1, 2)}, "bias")
    assert model.weight.tolist() == [[1, 1]]


def test_convert_without_the_package_says_that_nothing_was_compared(tmp_path):
    path = checkpoint("sam", tmp_path)
    done = run_command("convert", "--from-original", path, "--to", tmp_path / "to", "--decoder-heads", "4")
    assert done.returncode == 0, done.stderr
    assert "segmenter: {name: sam, model:" in done.stdout
    assert "subjectforge[original]" in done.stdout


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--to", "{0}/new", "--picture", "{0}/none.png"), "no picture"),
        (("--to", "{0}"), "is there already"),
        (("--to", "/proc/nowhere"), "cannot write"),
        (("--to", "{0}/new", "--text", "{0}/none"), "none"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, more, told):
    path = checkpoint("grounding_dino", tmp_path)
    given = [each.format(tmp_path) for each in more]
    if "--text" not in given:
        given += ["--text", TEXT]
    done = run_command("convert", "--from-original", path, *given)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert told in line
    assert line.startswith("subjectforge: ")


def test_a_backend_whose_package_is_missing_says_so(tmp_path):
    path = checkpoint("grounding_dino", tmp_path)
    backend = GroundingDinoPy(model=str(path), text=TEXT, device="cpu")
    for asked in (backend.check, backend.load, SegmentAnything(model=str(path)).check):
        with pytest.raises(MissingPackage, match=r"subjectforge\[original\]"):
            asked()


@pytest.mark.parametrize("kind", ["grounding_dino", "sam"])
def test_a_file_where_a_folder_is_wanted_is_told_how_to_use(tmp_path, kind):
    path = checkpoint(kind, tmp_path)
    with pytest.raises(MissingWeights, match=r"subjectforge convert.*groundingdino_py and segment_anything"):
        {"grounding_dino": GroundingDino, "sam": Sam}[kind](model=str(path)).check()


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        ("sam", ("--decoder-heads", "3"), "decoder_heads is 3"),
        ("grounding_dino", ("--text", located("miniature:captioner")), "is not BERT's"),
        ("grounding_dino", ("--text", TEXT, "--to", "s3://bucket/x"), "give a local folder"),
    ],
)
def test_what_does_not_go_together_leaves_nothing(tmp_path, kind, more, told):
    path = checkpoint(kind, tmp_path)
    where = () if "--to" in more else ("--to", tmp_path / "new")
    line = one_line(run_command("convert", "--from-original", path, *where, *more))
    assert told in line
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_another_models_checkpoint_is_told_with_its_path(tmp_path):
    sam, dino = (read_checkpoint(checkpoint(kind, tmp_path)) for kind in ("sam", "grounding_dino"))
    with pytest.raises(MissingWeights, match="the backend segment_anything runs"):
        dino_layout(sam)
    with pytest.raises(MissingWeights, match="the backend groundingdino_py runs"):
        sam_layout(dino, 4)
    with pytest.raises(MissingWeights, match=r"here\.pth: it is"), naming("here.pth"):
        dino_layout(sam)


def test_weights_that_are_no_numbers_are_told(tmp_path):
    name = "image_encoder.neck.0.weight"
    shape = NAMES["sam"][name]
    path = checkpoint("sam", tmp_path, **{name: torch.full(shape, torch.nan)})
    with pytest.raises(MissingWeights, match="not a number"):
        converted(path, tmp_path / "to", TEXT, 4)
