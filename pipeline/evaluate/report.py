# SPDX-License-Identifier: Apache-2.0
from pathlib import Path


def write_report(root, config, rows, methods, judged):
    (root / "report.html").write_text("x")
