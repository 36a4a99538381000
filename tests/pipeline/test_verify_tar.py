# SPDX-License-Identifier: Apache-2.0
import io
import tarfile

import pytest

from pipeline.dataset.verify_tar import Member, TarDamageError, walk_tar
from stages.shard.tar import TarStream

MEMBERS = {"00000-00000.jpg": b"\x00\xff" * 300, "00000-00000.json": b"{}", "00000-00000.txt": b""}


def archive() -> bytes:
    stream = io.BytesIO()
    tar = TarStream(stream)
    for name, content in MEMBERS.items():
        tar.add(name, content)
    tar.close()
    return stream.getvalue()


def walk(content: bytes) -> list[Member]:
    return [*walk_tar(io.BytesIO(content), len(content))]


def test_finds_what_the_standard_library_finds() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive())) as tar:
        expected = [Member(member.name, member.offset_data, member.size) for member in tar.getmembers()]
    assert walk(archive()) == expected
    assert [member.name for member in expected] == [*MEMBERS]


def test_the_standard_library_writes_the_same_bytes() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in MEMBERS.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    assert stream.getvalue() == archive()


def test_every_bit_outside_the_contents_counts() -> None:
    whole = archive()
    inside = {i for member in walk(whole) for i in range(member.offset, member.offset + member.size)}
    for position in sorted(set(range(len(whole))) - inside):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(TarDamageError) as found:
            walk(bytes(damaged))
        assert found.value.offset <= position


@pytest.mark.parametrize("size", [0, 1, 511, 512, 1000, 1535, 1536, 5120, 10239])
def test_every_end_but_the_right_one_counts(size: int) -> None:
    with pytest.raises(TarDamageError):
        walk(archive()[:size])


def test_more_after_the_end_counts() -> None:
    with pytest.raises(TarDamageError):
        walk(archive() + bytes(10240))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE]
)
def test_only_plain_files_are_members(kind: bytes) -> None:
    info = tarfile.TarInfo("00000-00000.jpg")
    info.type = kind
    content = info.tobuf(tarfile.USTAR_FORMAT) + bytes(10240 - 512)
    with pytest.raises(TarDamageError, match="plain file"):
        walk(content)


@pytest.mark.parametrize("size", [b"-0000000512\0", b"77777777777\0", b"        9  \0", b"0x000000001\0"])
def test_size_that_leads_astray(size: bytes) -> None:
    header = bytearray(tarfile.TarInfo("00000-00000.jpg").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    with pytest.raises(TarDamageError):
        walk(bytes(header) + bytes(10240 - 512))
