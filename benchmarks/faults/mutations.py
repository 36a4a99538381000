# SPDX-License-Identifier: Apache-2.0
"""Damage to a file as a pure function of a seed and a number."""

import struct

import numpy as np

from benchmarks.faults.fuzz_seeds import KINDS, seeds

_SHARE = {"picture": 0.7, "tar": 0.2, "parquet": 0.1}
_EXTREME = (0, 1, -1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 30, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

_SIZES = (
    b"7" * 11 + b"\0",
    b"0" * 11 + b"\0",
    b"-0000000512\0",
    b"\xff" * 10 + b"\xfe\0",
    b"\x80" + b"\xff" * 11,
)
"""Fields of a tar's header, in eights and in base 256: the largest, none, and less than none."""


def mutated(seed: int, number: int) -> tuple[str, bytes]:
    """Input `number`, 0 or more: its kind, one of `KINDS`, and the damaged file."""
    random = np.random.default_rng([seed, number])
    kind = str(random.choice(KINDS, p=[_SHARE[kind] for kind in KINDS]))
    files = seeds()[kind]
    data = bytearray(files[random.integers(len(files))])
    other = files[random.integers(len(files))]
    for _ in range(random.choice([1, 2, 3, 8], p=[0.5, 0.2, 0.2, 0.1])):
        damage = _DAMAGES[random.integers(len(_DAMAGES))]
        damage(data, random, other)
    return kind, _checked(data, random) if kind == "tar" else bytes(data)


def _place(data: bytearray, random: np.random.Generator) -> int:
    # Headers decide most and are short: half of all damage goes to the first or last hundred bytes.
    size = len(data)
    near = int(random.integers(0, min(size, 100) + 1))
    return [int(random.integers(0, size + 1)), int(random.integers(0, size + 1)), near, size - near][
        random.integers(4)
    ]


def _flip_bits(data: bytearray, random: np.random.Generator, other: bytes) -> None:
    for _ in range(random.integers(1, 9)):
        place = _place(data, random)
        if place < len(data):
            data[place] ^= 1 << int(random.integers(8))


def _change_bytes(data: bytearray, random: np.random.Generator, other: bytes) -> None:
    place = _place(data, random)
    size = len(data[place : place + int(random.integers(1, 17))])
    data[place : place + size] = random.bytes(size)


def _cut(data: bytearray, random: np.random.Generator, other: bytes) -> None:
    del data[_place(data, random) :]


def _splice(data: bytearray, random: np.random.Generator, other: bytes) -> None:
    data[_place(data, random) :] = other[int(random.integers(0, len(other))) :]


def _repeat(data: bytearray, random: np.random.Generator, other: bytes) -> None:
    start = _place(data, random)
    block = bytes(data[start : start + int(random.integers(1, 1500))])
    place = _place(data, random)
    data[place:place] = block * int(random.integers(1, 4))


def _remove(data: bytearray, random: np.random.Generator, other: bytes) -> None:
    start = _place(data, random)
    del data[start : start + int(random.integers(1, 1500))]


def _zero(data: bytearray, random: np.random.Generator, other: bytes) -> None:
    start = _place(data, random)
    size = len(data[start : start + int(random.integers(1, 600))])
    data[start : start + size] = bytes(size)


def _set_number(data: bytearray, random: np.random.Generator, other: bytes) -> None:
    """Lengths, offsets and counts: an extreme value, of 1, 2, 4 or 8 bytes, in either order of bytes."""
    value, form = int(random.choice(_EXTREME)), "BHIQ"[random.integers(4)]
    size = struct.calcsize(form)
    order = "<>"[random.integers(2)]
    place = _place(data, random)
    data[place : place + size] = struct.pack(order + form, value % (1 << 8 * size))


_DAMAGES = (_flip_bits, _change_bytes, _cut, _splice, _repeat, _remove, _zero, _set_number)


def _checked(data: bytearray, random: np.random.Generator) -> bytes:
    """Half of all tars get headers whose checksums are right again, as an attacker's would be."""
    if random.random() < 0.5:
        return bytes(data)
    for _ in range(random.integers(0, 4)):
        _tamper(data, random)
    for start in _headers(data):
        data[start + 148 : start + 156] = b" " * 8
        data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    return bytes(data)


def _headers(data: bytearray) -> list[int]:
    return [start for start in range(0, len(data) - 511, 512) if data[start + 257 : start + 262] == b"ustar"]


def _tamper(data: bytearray, random: np.random.Generator) -> None:
    """One field of one header: its size, in eights or base 256, or its type, or its name."""
    headers = _headers(data)
    if not headers:
        return
    start = int(random.choice(headers))
    place, value = [
        (124, _SIZES[random.integers(len(_SIZES))]),
        (156, b"01256xgLKSVM\0"[int(random.integers(13)) :][:1]),
        (0, random.bytes(int(random.integers(1, 100)))),
    ][random.integers(3)]
    data[start + place : start + place + len(value)] = value
