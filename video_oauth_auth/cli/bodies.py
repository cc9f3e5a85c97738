"""What `request` sends: `-d`, `-F` and `-H`, read as curl reads them, with files that are streamed."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

import click
from rich.progress import Progress

from ..errors import cleaned

__all__ = ["TOKEN", "Body", "body_of", "headers_of"]

CHUNK = 64 * 1024
FORM = "application/x-www-form-urlencoded"
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_FRAMING = ("content-length", "transfer-encoding")
# What may follow a part: its type, and for a file the name that the server is told.
_TYPE = re.compile(r"(.*);type=([\w.+-]+/[\w.+-]+(?:; ?charset=[\w-]+)?)", re.ASCII | re.DOTALL)
_NAME = re.compile(r"(.*);filename=([^;]+)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Body:
    """The body of a request.

    Attributes:
        keywords: what httpx takes it as.
        content_type: its type, where none is given and httpx knows none.
        once: whether it can be sent only once.
    """

    keywords: dict[str, Any] = field(default_factory=dict)
    content_type: str | None = None
    once: bool = False


def headers_of(lines: Sequence[str]) -> list[tuple[str, str | None]]:
    """Read `-H`: `Name: value`; `Name:` takes a header away, with the value None, and `Name;` sends an empty one.

    Raises:
        click.UsageError: one is no header.
    """
    pairs: list[tuple[str, str | None]] = []
    for line in lines:
        name, colon, value = (line[:-1], ":", "") if line.endswith(";") and ":" not in line else line.partition(":")
        if not colon or not TOKEN.fullmatch(name) or not line.isprintable():
            raise click.UsageError("-H takes a header: 'Name: value'")
        if name.lower() in _FRAMING or (name.lower() == "host" and not value.strip()):
            raise click.UsageError(f"-H {name}: this header is made from the URL and the body")
        pairs.append((name, value.strip() or (None if line.endswith(":") else "")))
    return pairs


def body_of(data: Sequence[str], fields: Sequence[str], files: ExitStack, progress: Progress) -> Body:
    """Read `-d` and `-F`.

    Args:
        data: each `-d`.
        fields: each `-F`.
        files: closes what is opened.
        progress: shows how far files are.

    Raises:
        click.UsageError: they contradict each other, or a file cannot be opened.
    """
    if data and fields:
        raise click.UsageError("-d and -F are two kinds of bodies: give one")
    if fields:
        parts = [_part(one, files, progress) for one in fields]
        return Body(keywords={"files": parts})
    if not data:
        return Body()
    if not any(one.startswith("@") for one in data):
        return Body(keywords={"content": "&".join(data).encode(errors="surrogateescape")}, content_type=FORM)
    if len(data) > 1:
        raise click.UsageError("-d @file stands alone: several -d are joined by &, and a file is sent as it is")
    if data[0] != "@-":
        return Body(keywords={"content": _file(data[0][1:], files, progress)}, content_type=FORM)
    if _is_file(sys.stdin) and not sys.stdin.buffer.tell():  # what was read before is no part of the body
        return Body(keywords={"content": _shown(sys.stdin.buffer, "stdin", progress)}, content_type=FORM)
    return Body(keywords={"content": _chunks(sys.stdin.buffer)}, content_type=FORM, once=True)


def _part(text: str, files: ExitStack, progress: Progress) -> tuple[str, tuple[str | None, Any, str | None]]:
    name, equals, value = text.partition("=")
    if not equals or not name.isprintable() or not name:
        raise click.UsageError("-F takes name=value, or name=@file")
    value, kind = _without(_TYPE, value)
    if not value.startswith("@"):
        return name, (None, value.encode(errors="surrogateescape"), kind)
    value, told = _without(_NAME, value)
    value, kind = _without(_TYPE, value) if kind is None else (value, kind)
    told = (told or Path(value[1:]).name).encode(errors="replace").decode()
    return name, (told, _file(value[1:], files, progress), kind)


def _without(end: re.Pattern[str], value: str) -> tuple[str, str | None]:
    found = end.fullmatch(value)
    return (found[1], found[2]) if found else (value, None)


def _file(path: str, files: ExitStack, progress: Progress) -> BinaryIO:
    try:
        opened = Path(path).open("rb")  # noqa: SIM115 - closed with the others
    except OSError as error:
        failure = f"cannot be read: {os.strerror(error.errno or 0)}"
    else:
        files.callback(opened.close)
        if _is_file(opened):
            return _shown(opened, Path(path).name, progress)
        failure = "is no file; what comes from a pipe is sent with -d @-"
    raise click.UsageError(f"{path} {failure}")


def _shown(file: BinaryIO, name: str, progress: Progress) -> BinaryIO:
    progress.start()
    return progress.wrap_file(file, os.fstat(file.fileno()).st_size, description=cleaned(name))


def _is_file(stream: IO[Any]) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:
        return False


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk
