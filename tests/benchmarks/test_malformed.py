# SPDX-License-Identifier: Apache-2.0
"""Malformed files among good ones, through the real command; the benchmark does it with thousands."""

from benchmarks.faults import malformed
from benchmarks.faults.malformed import run
from benchmarks.faults.malformed_files import malformed_files


def test_each_malformed_file_is_a_row_with_its_reason_and_takes_no_good_one_with_it():
    result = run(good=60, copies=1, executor="local")
    assert result.crashes == []
    assert result.wrong == []
    assert result.rows == result.good + result.malformed == 60 + len(malformed_files())


def test_kinds_are_many_and_each_is_named_once():
    names = [kind.name for kind in malformed_files()]
    assert len(set(names)) == len(names) > 100


def test_what_a_build_makes_of_a_file_is_compared(monkeypatch):
    """With another reason expected, and with a file expected that is not there, the benchmark says so."""

    def misled(*arguments):
        wanted = write(*arguments)
        first = next(iter(wanted))
        return wanted | {first: ("rejected", "read", "truncated"), "missing.jpg": ("ok", None, None)}

    write = malformed._write
    monkeypatch.setattr(malformed, "_write", misled)
    monkeypatch.setattr(malformed, "malformed_files", lambda: malformed_files()[:1])
    assert len(run(good=2, copies=1, executor="local").wrong) == 2
