# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

from models.backends.weights import hub_commit, weights_digest

LARGE = 65 * 2**20


def test_large_files_of_one_size_and_other_contents_differ(tmp_path):
    digests = []
    for name, byte in (("a", b"\x00"), ("b", b"\x01"), ("c", b"\x00")):
        path = tmp_path / name / "weights.safetensors"
        path.parent.mkdir()
        path.write_bytes(byte * LARGE)
        digests.append(weights_digest(str(path.parent)))
    assert digests[0] == digests[2] != digests[1]


def test_a_bit_of_a_small_file_counts(tmp_path):
    path = tmp_path / "small.pth"
    path.write_bytes(bytes(1000))
    before = weights_digest(str(path))
    path.write_bytes(bytes(999) + b"\x01")
    assert weights_digest(str(path)) != before


def test_what_is_on_the_hub_has_no_digest():
    assert weights_digest("someone/model") is None
    assert weights_digest("") is None


def test_the_commit_of_what_is_cached_from_the_hub_is_known(tmp_path):
    place = tmp_path / "hub" / "models--some--model"
    for path, text in (("refs/main", "abc123"), ("snapshots/abc123/config.json", "{}")):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    asks = (
        "from models.backends.weights import hub_commit as of; print(of('some/model', None), of('a/b', None))"
    )
    run = subprocess.run(
        [sys.executable, "-c", asks],
        env={**os.environ, "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.stdout.split() == ["abc123", "None"], run.stderr
    assert hub_commit("miniature:dino", None) is None
