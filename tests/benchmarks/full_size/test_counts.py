# SPDX-License-Identifier: Apache-2.0
"""What is counted of an image, and that benchmark rows are those of the real stages."""

import io

import pytest
import torch
import torch.nn.functional as F

from benchmarks.full_size.__main__ import rows_of
from benchmarks.full_size.fixed import WORDS
from models.miniature.world import render_scene, sample_scene
from pipeline.train.peak import counted_flops, peak_flops
from stages.columns import OK


def test_fused_attention_is_counted_forwards_and_backwards():
    batch, heads, tokens, width = 2, 4, 96, 32
    query, key, value = (torch.randn(batch, heads, tokens, width, requires_grad=True) for _ in range(3))
    with counted_flops() as forward:
        found = F.scaled_dot_product_attention(query, key, value)
    with counted_flops() as backward:
        found.sum().backward()
    product = 2 * batch * heads * tokens * tokens * width
    assert forward.get_total_flops() == 2 * product
    # Scores once more, then the gradients of two products.
    assert backward.get_total_flops() == 5 * product


def test_rows_are_four_subjects_each():
    stream = io.BytesIO()
    render_scene(sample_scene(7, 0), 256).image.save(stream, "JPEG")
    rows = rows_of([stream.getvalue()], 3).to_pylist()
    assert [row["status"] for row in rows] == [OK] * 3
    assert all({entity["lemma"] for entity in row["entities"]} == {*WORDS} for row in rows)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA L40", 181e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("some other", None),
    ],
)
def test_the_peak_is_that_of_the_device(monkeypatch, name, peak):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_flops(torch.device("cuda")) == peak
