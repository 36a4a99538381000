# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import pytest

from tests.pipeline.runs import ROOT


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os._exit(1)", "subjectforge: gone; go on\n"),
        ("os.kill(os.getpid(), 9)", "subjectforge: gone; go on\n"),
        ("pass", ""),
        ("sys.exit(3)", ""),
    ],
)
def test_only_an_end_without_a_word_is_explained(end, said):
    code = (
        f"import os, sys\nfrom pipeline.last_words import last_words\nwith last_words('gone; go on'): {end}"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stderr == said
