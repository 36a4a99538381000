# SPDX-License-Identifier: Apache-2.0
"""The columns of an evaluation's tables: which values are shown, and what people call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.evaluate.summary import Method

MAIN = (
    "found",
    "judge_identity_reference",
    "judge_all_reference",
    "judge_identity_pairs",
    "judge_position",
    "judge_background",
    "judge_noun",
    "judge_stated",
    "judge_style",
    "clip_t_whole",
    "siglip_t_whole",
    "clip_i_subject_reference",
    "clip_i_subject_pairs",
    "dino_subject_reference",
    "dino_subject_pairs",
    "dinov2_subject_reference",
    "clip_i_style",
    "dino_style",
    "dinov2_style",
    "dreamsim_subject_pairs",
    "lpips_subject_pairs",
    "layout_pairs",
)
"""Columns of the first table, where they were measured; all others are in results.json."""
HEADERS = {
    "found": "found",
    "judge_identity_reference": "identity, given",
    "judge_all_reference": "all identities, given",
    "judge_identity_pairs": "identity, in pairs",
    "judge_position": "where asked",
    "judge_background": "background",
    "judge_noun": "noun",
    "judge_stated": "as stated",
    "judge_style": "style",
    "clip_t_whole": "CLIP-T",
    "siglip_t_whole": "SigLIP-T",
    "clip_i_subject_reference": "CLIP-I, given",
    "clip_i_subject_pairs": "CLIP-I, in pairs",
    "dino_subject_reference": "DINO, given",
    "dino_subject_pairs": "DINO, in pairs",
    "dinov2_subject_reference": "DINOv2, given",
    "clip_i_style": "CLIP-I, style",
    "dino_style": "DINO, style",
    "dinov2_style": "DINOv2, style",
    "dreamsim_subject_pairs": "DreamSim, in pairs",
    "lpips_subject_pairs": "LPIPS, in pairs",
    "layout_pairs": "layout diversity",
}
_READS = {
    "judge_identity_reference": "identity",
    "judge_all_reference": "identity",
    "judge_identity_pairs": "identity",
    "judge_position": "noun",
    "judge_background": "background",
    "judge_noun": "noun",
    "judge_stated": "identity",
}
"""Which of the judge's own accuracies stands beside what it has read."""


def headers(methods: Sequence[Method], judged: Mapping[str, float]) -> dict[str, str]:
    """Of the first table's columns; what the judge reads stands beside how well it reads that."""
    there = {name for method in methods for name in method.values}
    if all(_same(method) for method in methods):
        there -= {"judge_all_reference"}
    own = {name: judged.get(_READS.get(name, "")) for name in MAIN}
    return {
        name: HEADERS[name] + ("" if own[name] is None else f" [judge {own[name]:.3f}]")
        for name in MAIN
        if name in there
    }


def _same(method: Method) -> bool:
    """Whether no set has several subjects: then one is all."""
    return method.values.get("judge_all_reference") == method.values.get("judge_identity_reference")
