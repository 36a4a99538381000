# SPDX-License-Identifier: Apache-2.0
"""The page itself: a template, its style and its script, and the numbers it draws."""

import base64
import html
from collections import Counter
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Any

from pipeline.report.card import Card
from pipeline.report.collect import Totals
from pipeline.report.embed import script_json
from pipeline.report.record import Record
from stages import STAGES
from stages.columns import ERROR, OK, REJECTED

_LABELS = 40
_BUILT = ("built", "created", "created_at", "date", "started")


def payload(record: Record, totals: Totals, shards: int, cards: list[Card]) -> dict[str, Any]:
    """All that the page shows, as JSON values."""
    stages = _in_order(record.chain, {*record.seconds, *(stage for stage, _, _ in totals.lost)})
    return {
        "name": record.name,
        "fingerprint": record.manifest.get("fingerprint"),
        "built": next((record.manifest[key] for key in _BUILT if key in record.manifest), None),
        "counts": {
            "images": totals.status.total(),
            "samples": totals.status[OK],
            "rejected": totals.status[REJECTED],
            "errors": totals.status[ERROR],
            "instances": int(totals.histograms["instances"].total),
            "labels": len(totals.labels),
            "shards": shards,
        },
        "funnel": _funnel(stages, totals.lost, totals.status.total()),
        "timed_images": record.rows,
        "worked_images": record.images,
        "seconds": [[stage, round(record.seconds[stage], 4)] for stage in stages if stage in record.seconds],
        "histograms": {name: histogram.as_json() for name, histogram in totals.histograms.items()},
        "labels": sorted(totals.labels.items(), key=lambda item: (-item[1], item[0]))[:_LABELS],
        "cards": cards,
        "manifest": record.manifest,
        "config": record.config,
        "changed": record.changed,
    }


def _in_order(chain: list[str], met: set[str]) -> list[str]:
    """The stages of the chain, or of the usual one as far as they were met; before them, unknown ones."""
    known = chain or [stage for stage in STAGES if stage in met]
    return sorted(met - {*known}) + known


def _funnel(stages: list[str], lost: Counter[tuple[str, str, str]], images: int) -> list[dict[str, Any]]:
    """Stage after stage: rows in, rows out, and what was lost as `[status, reason, rows]`, most first."""
    steps = []
    for stage in stages:
        losses = [[status, reason, rows] for (at, status, reason), rows in lost.items() if at == stage]
        losses.sort(key=lambda loss: (-loss[2], loss[:2]))
        out = images - sum(rows for _, _, rows in losses)
        steps.append({"stage": stage, "in": images, "out": out, "lost": losses})
        images = out
    return steps


def render(values: dict[str, Any]) -> str:
    """The page as HTML that refers to nothing outside itself.

    Its security policy lets the browser run and apply only the script and style that are named by their
    hashes, so text from the dataset could not run even if it got out of its place.
    """
    style, script = _asset("page.css"), _asset("page.js")
    return Template(_asset("page.html")).substitute(
        title=html.escape(values["name"]),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=script_json(values),
    )


def _asset(name: str) -> str:
    return files("pipeline.report").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(sha256(text.encode()).digest()).decode()
