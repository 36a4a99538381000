# SPDX-License-Identifier: Apache-2.0
"""A file with a record of the same size for each row of a dataset, in any order, whole or not there.

A record is a mark, a checksum and bytes. The file is read and written plainly: behind a memory map a full
disk would kill the process.

Shapes: B rows, S bytes of a record.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

_HEADER = struct.Struct("<4sI8x")
_MARK = b"SFf1"


class RowFile:
    """Reads and writes records; processes of one machine may share it."""

    def __init__(self, path: Path, size: int) -> None:
        """
        Args:
            path: made if it is not there.
            size: of a record, bytes.

        Raises:
            OSError: it cannot be written to.
        """
        self._size = _HEADER.size + size
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._checked: set[int] = set()
        """Rows whose checksum was right: once is enough."""

    def read(self, rows: Sequence[int]) -> np.ndarray | None:
        """Records, uint8 (B, S); None if one is not there, or damaged.

        Raises:
            OSError: the disk fails.
        """
        whole_BS = np.empty((len(rows), self._size), np.uint8)
        there = all(self._read(row, record) for row, record in zip(rows, whole_BS, strict=True))
        return whole_BS[:, _HEADER.size :] if there else None

    def keep(self, rows: Sequence[int], data_BS: np.ndarray) -> np.ndarray:
        """Write those that are not there yet; returns what is there now, uint8 (B, S).

        Raises:
            OSError: the disk is full, or fails.
        """
        whole_BS = np.empty((len(rows), self._size), np.uint8)
        for row, record, data in zip(rows, whole_BS, data_BS, strict=True):
            if not self._read(row, record):
                header = _HEADER.pack(_MARK, crc32(data.tobytes()))
                record[:] = np.concatenate([np.frombuffer(header, np.uint8), data])
                if os.pwrite(self._file, record.data, row * self._size) != self._size:
                    raise OSError("the disk is full")
        return whole_BS[:, _HEADER.size :]

    def _read(self, row: int, record: np.ndarray) -> bool:
        """Fill in a row's record; whether it is there."""
        read = os.preadv(self._file, [record.data], row * self._size)
        mark, checksum = _HEADER.unpack(record[: _HEADER.size].tobytes())
        if read < self._size or mark != _MARK:
            return False
        if row not in self._checked and crc32(record[_HEADER.size :].tobytes()) != checksum:
            return False
        self._checked.add(row)
        return True

    def close(self) -> None:
        """Of no use from now on."""
        os.close(self._file)
