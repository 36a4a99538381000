# SPDX-License-Identifier: Apache-2.0
"""What models with weights made by chance cannot say is put into every row."""

import pyarrow as pa
import pytest
import yaml

from benchmarks.full_size.chain import Build, chain_config
from benchmarks.full_size.fixed import CAPTION, WORDS, FourBoxes, FourNouns
from pipeline.config import load_config
from pipeline.operators import check_capacity, check_devices, operators
from stages.backend import backends_of
from stages.columns import LEDGER, OK
from stages.select import Select
from tests.commands import ROOT


def row(**columns):
    ledger = {"key": "a", "source_key": "a", "source_uri": "a", "status": OK}
    schema = pa.schema([*LEDGER, *(pa.field(name, pa.scalar(value).type) for name, value in columns.items())])
    return pa.Table.from_pylist([ledger | columns], schema)


def test_four_nouns_stand_where_they_say():
    (found,) = FourNouns().setup()(row(caption="whatever")).to_pylist()
    assert found["caption"] == CAPTION
    assert [CAPTION[slice(*noun["head_span"])] for noun in found["nouns"]] == [*WORDS]
    assert [noun["prompt"] for noun in found["nouns"]] == [*WORDS]


def test_four_boxes_are_four_subjects():
    table = FourNouns().setup()(row(caption="whatever", width=640, height=480))
    (found,) = Select().setup()(FourBoxes().setup()(table)).to_pylist()
    assert found["status"] == OK
    assert sorted(entity["lemma"] for entity in found["entities"]) == sorted(WORDS)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("together", [False, True])
def test_the_chain_is_that_of_the_full_configuration(tmp_path, device, together):
    models = dict.fromkeys(("caption", "detect", "segment"), "miniature:captioner")
    path = tmp_path / "chain.yaml"
    path.write_text(yaml.safe_dump(chain_config(Build(models, 2000, device, together, compile=True))))
    config, full = load_config(path), load_config(ROOT / "configs" / "build" / "full.yaml")
    chain = operators(config.stages)
    check_devices(chain)
    check_capacity(chain, *((1, 0) if device == "cpu" else (6, 1)), "a small machine")
    assert config.shard_size == 384
    for name in models:
        stage, usual = config.stages[name], full.stages[name]
        assert stage.batch_size == usual.batch_size
        (backend,) = backends_of(stage).values()
        assert (backend.device, backend.compile) == (device, True)
        if device == "cuda" and not together:
            assert stage.resources == usual.resources
    holding = [each.resources.gpus for each in chain if each.resources.gpus]
    assert holding == ([] if device == "cpu" else [1.0] if together else [0.5, 0.25, 0.25])
    assert all(each.resources.decoders == 4 for each in chain[1:-1])
