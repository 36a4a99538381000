# SPDX-License-Identifier: Apache-2.0
"""The full-size models on this machine's device, weights made by chance: speed by stage, and of the chain.

Pictures are JPEGs of 640 x 480, four nouns and four boxes each, captions of 20 tokens. A stage's time is the
real stage's for two of its batches, from JPEG bytes to rows, one process and nothing beside; the chain is a
build, start-up left out. The share of peak is counted FLOPs over what the device does at most in bfloat16.

COMMAND  python -m benchmarks.full_size [--only detect] [--device cuda] [--seconds 20]
         [--chain 2000 [--compile]] [--layers 2 --pictures 2, where there is no GPU]
"""

import argparse
import gc
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import torch

from benchmarks.full_size import weights
from benchmarks.full_size.chain import Build, chain_rate
from benchmarks.full_size.fixed import SIZE, TOKENS, UNFOUND, FourBoxes, FourNouns
from benchmarks.machine import about_here
from benchmarks.spread import spread, table_head
from models.backends.blip2 import Blip2
from models.backends.grounding_dino import GroundingDino, MmGroundingDino
from models.backends.sam import Sam
from models.backends.weights import device_and_dtype
from models.miniature.world import render_scene, sample_scene
from pipeline.train.peak import counted_flops, model_flops_utilisation
from stages.base import Resources, Stage, TableFunction
from stages.caption import Caption
from stages.columns import ERROR, LEDGER, OK
from stages.detect import Detect
from stages.segment import Segment
from stages.select import Select

DECODERS = 4
"""Threads of a worker, as in `full.yaml`."""
_BATCHES = 2
"""Of a table, so that one is decoded while the model is at the other."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A backend with its options, and how many pictures it gets at a time."""

    stage: str
    precision: str
    shape: str
    backend: Any
    batch: int

    @property
    def name(self) -> str:
        """`detect bfloat16, padded`."""
        return " ".join(filter(None, (self.stage, self.precision, self.shape)))

    def made(self) -> Stage:
        """The real stage."""
        held: dict[str, Any] = {"batch_size": self.batch, "resources": Resources(decoders=DECODERS)}
        if self.stage == "caption":
            return Caption(captioner=self.backend, **held)
        if self.stage == "detect":
            return Detect(detector=self.backend, box_threshold=UNFOUND, **held)
        return Segment(segmenter=self.backend, **held)


def main() -> None:
    """Print a row a variant, and one for the chain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="variants whose name has this in it")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=20, help="at least, of each variant")
    parser.add_argument("--pictures", type=int, help="of a batch; what suits a GPU of 80 GB if not given")
    parser.add_argument("--layers", type=int, help="of BLIP-2 and SAM, where memory is short")
    parser.add_argument("--chain", type=int, default=0, help="pictures of a build with all of them")
    parser.add_argument("--compile", action="store_true", help="the chain's models too")
    arguments = parser.parse_args()
    device = device_and_dtype(arguments.device, "auto")[0].type
    pictures = [_jpeg(index) for index in range(8)]
    here = about_here(Path(__file__).parents[2])
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(", ".join([gpu, *here.values(), *map("{0[0]}={0[1]}".format, vars(arguments).items())]))
    print(table_head("variant", "batch", "images/s", "TFLOP an image", "share of peak", "peak GiB"))
    with TemporaryDirectory() as folder:
        models = _models(Path(folder), arguments.layers, "" if arguments.chain else arguments.only)
        flops: dict[str, float] = {}
        for variant in variants(models, device):
            if arguments.only in variant.name:
                changed = replace(variant, batch=arguments.pictures or variant.batch)
                print(_row(changed, pictures, arguments.seconds, flops), flush=True)
        counted = sum(flops[name] for name in _CHAIN) if {*_CHAIN} <= flops.keys() else None
        for together in (False, True) if arguments.chain else ():
            build = Build(models, arguments.chain, device, together, arguments.compile)
            print(chain_rate(Path(folder), build, pictures, counted), flush=True)


_CHAIN = ("caption", "detect padded to 64", "segment")
"""What the chain is made of."""


def _models(folder: Path, layers: int | None, only: str) -> dict[str, str]:
    makers: dict[str, Callable[[Path], Path]] = {
        "caption": partial(weights.blip2, layers=layers),
        "detect": weights.grounding_dino,
        "detect mm": partial(weights.grounding_dino, kind="MMGroundingDino"),
        "segment": partial(weights.sam, layers=layers),
    }
    stage = next((name for name in makers if only.startswith(name)), "")
    return {name: str(make(folder / name)) for name, make in makers.items() if stage in name}


def variants(models: dict[str, str], device: str) -> list[Variant]:
    """What is measured, the plain one of a stage first."""
    given: dict[str, Any] = {"device": device, "dtype": "bfloat16"}
    plain: dict[str, Any] = {"device": device, "dtype": "float32"}
    found = []
    for name, options in {
        "float32": plain,
        "bfloat16": given,
        "compiled": {**given, "compile": True},
    }.items():
        if "caption" in models:
            blip2 = Blip2(model=models["caption"], max_new_tokens=TOKENS, **options)
            found.append(Variant("caption", name, "", blip2, 64))
        if "segment" in models:
            found.append(Variant("segment", name, "", Sam(model=models["segment"], **options), 4))
        if "detect" in models:
            dino, mm = models["detect"], models["detect mm"]
            padded = GroundingDino(model=dino, pad_to=64, **options)
            found += [
                Variant("detect", name, "square", GroundingDino(model=dino, **options), 8),
                Variant("detect", name, "padded to 64", padded, 8),
                Variant("detect", name, "MM, padded", MmGroundingDino(model=mm, pad_to=64, **options), 8),
            ]
    return sorted(found, key=lambda variant: variant.stage)


def _row(variant: Variant, pictures: Sequence[bytes], seconds: float, flops: dict[str, float]) -> str:
    """Args: `flops` of an image by stage and shape; compiled models cannot be counted."""
    _begin_anew()
    work = variant.made().setup()
    table = rows_of(pictures, _BATCHES * variant.batch)
    # Whatever is compiled or tried out is by the second time.
    for _ in range(2 if variant.backend.compile else 1):
        _checked(work, table)
    spans: list[float] = []
    while sum(spans) < seconds:
        began = time.perf_counter()
        work(table)
        spans.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_reserved() / 2**30 if torch.cuda.is_available() else 0
    shape = " ".join(filter(None, (variant.stage, variant.shape)))
    if not variant.backend.compile and shape not in flops:
        with counted_flops() as counter:
            work(rows_of(pictures, 1))
        flops[shape] = float(counter.get_total_flops())
    count = flops.get(shape)
    share = model_flops_utilisation(count, median(spans) / table.num_rows, variant.backend.place()[0])
    return (
        f"| {variant.name} | {variant.batch} | {spread([table.num_rows / span for span in spans], 2)} | "
        f"{'' if count is None else f'{count / 1e12:.2f}'} | {'' if share is None else f'{share:.2f}'} | "
        f"{f'{peak:.1f}' if peak else ''} |"
    )


def _begin_anew() -> None:
    """Without what the variant before has left in memory."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _checked(work: TableFunction, table: pa.Table) -> None:
    """Work that fails is quick."""
    failed = next((row for row in work(table).to_pylist() if row["status"] == ERROR), None)
    if failed is not None:
        raise SystemExit(f"{failed['stage']} fails: {failed['reason']}: {failed['detail']}")


def rows_of(pictures: Sequence[bytes], count: int) -> pa.Table:
    """Pictures, over and over, with four nouns and four subjects each."""
    width, height = SIZE
    rows = [
        {
            **{"key": f"00000-{place:05d}", "source_key": str(place), "source_uri": "", "status": OK},
            **{"image": pictures[place % len(pictures)], "width": width, "height": height, "caption": ""},
        }
        for place in range(count)
    ]
    kinds = {"image": pa.binary(), "width": pa.int32(), "height": pa.int32(), "caption": pa.string()}
    table = pa.Table.from_pylist(rows, pa.schema([*LEDGER, *map(pa.field, kinds, kinds.values())]))
    for stage in (FourNouns(), FourBoxes(), Select()):
        table = stage.setup()(table)
    return table


def _jpeg(index: int) -> bytes:
    stream = io.BytesIO()
    render_scene(sample_scene(7, index), 480).image.resize(SIZE).save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    main()
