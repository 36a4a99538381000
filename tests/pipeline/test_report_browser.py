# SPDX-License-Identifier: Apache-2.0
"""The report as a browser draws it, where there is one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.report import write_report
from tests.pipeline.report_world import write_world

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--virtual-time-budget=5000", "--dump-dom"),
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_world(tmp_path_factory.mktemp("browser") / "world"))


def drawn(report: Path, profile: Path, view: str) -> str:
    """The page's elements after its script has run, without its data."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", report.as_uri() + view]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("view", "cards"),
    [
        ("", 44),
        ("#set=rejected", 29),
        ("#set=error&theme=dark", 3),
        ("#set=toString", 44),
        ("#reason=nouns+%C2%B7+too_many_nouns", 6),
        ("#q=%F0%9F%90%BB", 1),
        ("#label=B%C3%A4r&label=nothing", 1),
    ],
)
def test_address_chooses_what_is_shown(report: Path, tmp_path: Path, view: str, cards: int) -> None:
    page = drawn(report, tmp_path, view)
    assert page.count("<article") == cards
    assert f">{cards} card" in page
    assert '<dialog id="detail" aria-labelledby="detail-title"></dialog>' in page


def test_hostile_sample_is_drawn_as_text(report: Path, tmp_path: Path) -> None:
    page = drawn(report, tmp_path, "#key=00000-00001")
    detail = re.findall(r"<dialog[^>]* open.*</dialog>", page, re.DOTALL)
    assert len(detail) == 1
    assert "&lt;img src=x onerror=" in detail[0]
    assert "&lt;i&gt;cat&lt;/i&gt;" in detail[0]
    assert not re.search(r"<img src=\"x|<i>cat|owned</title>", page)
    assert detail[0].count('class="box"') == detail[0].count('class="tag"') > 1
