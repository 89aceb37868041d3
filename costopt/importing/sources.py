"""The lines of files, folders and standard input, whatever they are compressed with."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from fnmatch import fnmatch
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from costopt.errors import CannotImport
from costopt.importing.words import Line, Unusable

STDIN = "-"
_PACKED = (".gz", ".zst")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DAMAGE = (EOFError, OSError, zlib.error, zstandard.ZstdError)


class Sources:
    """All lines of some files, in order. `lines` counts them, `done` the bytes read of `total` (0: not known).

    `trouble` hears of files that end in the middle; what came before is read all the same.
    """

    def __init__(self, files: Sequence[Path | None], trouble: Callable[[Unusable], None]) -> None:
        self.lines = 0
        self.place = ("", 0)
        self.total = 0 if None in files else sum(file.stat().st_size for file in files if file)
        self._files = files
        self._trouble = trouble
        self._read = 0
        self._open: IO[bytes] | None = None

    @property
    def done(self) -> int:
        """Bytes read so far, as they lie on the disk."""
        return self._read + (self._open.tell() if self._open and self.total else 0)

    def __iter__(self) -> Iterator[Line]:
        for file in self._files:
            try:
                yield from self._lines(file)
            except _DAMAGE as error:
                self._trouble(Unusable(self.place[0], self.place[1] + 1, _damage(error)))

    def _lines(self, file: Path | None) -> Iterator[Line]:
        name = str(file) if file else "stdin"
        self.place = (name, 0)
        with file.open("rb") if file else nullcontext(cast(BufferedReader, sys.stdin.buffer)) as raw:
            self._open = raw
            for number, data in enumerate(_in_utf8(_unpacked(raw)), 1):
                self.lines += 1
                self.place = (name, number)
                yield Line(name, number, data.rstrip(b"\r\n"))
        self._open = None
        self._read += file.stat().st_size if file else 0


def found(paths: Sequence[str | Path], patterns: Sequence[str]) -> list[Path | None]:
    """The files that `paths` name: folders stand for all files below them that fit `patterns`, None for `-`.

    Raises CannotImport: a path is not there or cannot be read, or a folder has no such file.
    """
    if not paths:
        raise CannotImport("nothing to import: name a file, a folder or - for standard input")
    return [file for path in paths for file in _files(path, patterns)]


def _files(path: str | Path, patterns: Sequence[str]) -> list[Path | None]:
    if str(path) == STDIN:
        return [None]
    with suppress(RuntimeError):  # no such home folder: no such file
        path = Path(path).expanduser()
    path = Path(path)
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.is_file() and _fits(file.name, patterns))
        if not inside:
            raise CannotImport(f"{path}: no {' or '.join(patterns)} in this folder or below it")
        return list(inside)
    _check_readable(path)
    return [path]


def _fits(name: str, patterns: Sequence[str]) -> bool:
    for ending in _PACKED:
        name = name.removesuffix(ending)
    return any(fnmatch(name, pattern) for pattern in patterns)


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise CannotImport(f"{path}: cannot be read: {error.strerror}") from error


def _unpacked(raw: BufferedReader) -> BufferedReader:
    """What `raw` holds; packed files show by their first bytes, whatever their name."""
    begins = raw.peek(4)
    if begins.startswith(_GZIP):
        return BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 16)
    return BufferedReader(_Zstd(raw), 1 << 16) if begins.startswith(_ZSTD) else raw


def _in_utf8(raw: BufferedReader) -> IO[bytes]:
    """The same text in UTF-8, where its first bytes say that it is UTF-16, as Windows tools write it."""
    return BufferedReader(_Utf16(raw), 1 << 16) if raw.peek(2).startswith(_UTF16) else raw


class _Utf16(io.RawIOBase):
    """A UTF-16 text as UTF-8."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and (data := self._raw.read(1 << 14)):
            self._ready = memoryview(self._decoder.decode(data).encode())
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


class _Zstd(io.RawIOBase):
    """What a zstd file holds. Unlike the library's own reader it notices a file that ends in the middle."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._inside = False
        self._rest = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and (data := self._rest or self._packed.read(1 << 14)):
            self._ready = memoryview(self._unpacked(data))
        if not self._ready and self._inside:
            raise EOFError
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _unpacked(self, data: bytes) -> bytes:
        found = self._frame.decompress(data)
        self._inside, self._rest = not self._frame.eof, self._frame.unused_data
        if self._frame.eof:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        return found


def _damage(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read on: {error.strerror}"
    return "the compressed file is damaged or ends in the middle: what came before it was read"
