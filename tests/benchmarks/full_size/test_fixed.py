# SPDX-License-Identifier: Apache-2.0
"""What models with weights made by chance cannot say is put into every row."""

import pyarrow as pa
import yaml

from benchmarks.full_size.chain import chain_config
from benchmarks.full_size.fixed import CAPTION, WORDS, FourBoxes, FourNouns
from pipeline.config import load_config
from pipeline.operators import check_capacity, operators
from stages.columns import LEDGER, OK
from stages.select import Select


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


def test_models_share_a_device_or_a_process(tmp_path):
    models = dict.fromkeys(("caption", "detect", "segment"), "miniature:captioner")
    chains = []
    for together in (False, True):
        path = tmp_path / f"{together}.yaml"
        path.write_text(yaml.safe_dump(chain_config(models, 100, "cuda", together)))
        chains.append(operators(load_config(path).stages))
    apart, beside = ([each.resources.gpus for each in chain if each.resources.gpus] for chain in chains)
    assert apart == [0.33] * 3
    assert beside == [1.0]
    for chain in chains:
        check_capacity(chain, 2, 1, "a small machine")
