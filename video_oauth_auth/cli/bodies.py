"""What `request` sends: `-d`, `-F` and `-H`, read as curl reads them, with files that are streamed."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

import click
from rich.progress import Progress

__all__ = ["Body", "body_of", "headers_of"]

CHUNK = 64 * 1024
FORM = "application/x-www-form-urlencoded"


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


def headers_of(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Read `-H`.

    Raises:
        click.UsageError: one is no header.
    """
    pairs = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or not line.isprintable() or " " in name:
            raise click.UsageError("-H takes a header: 'Name: value'")
        pairs.append((name, value.strip()))
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
    if not any(one.startswith("@") for one in data):
        return Body(keywords={"content": "&".join(data).encode()}, content_type=FORM) if data else Body()
    if len(data) > 1:
        raise click.UsageError("-d @file stands alone: several -d are joined by &, and a file is sent as it is")
    if data[0] != "@-":
        return Body(keywords={"content": _file(data[0][1:], files, progress)}, content_type=FORM)
    if _is_file(sys.stdin):
        return Body(keywords={"content": _shown(sys.stdin.buffer, "stdin", progress)}, content_type=FORM)
    return Body(keywords={"content": _chunks(sys.stdin.buffer)}, content_type=FORM, once=True)


def _part(text: str, files: ExitStack, progress: Progress) -> tuple[str, tuple[str | None, Any]]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError("-F takes name=value, or name=@file")
    if not value.startswith("@"):
        return name, (None, value.encode())
    return name, (Path(value[1:]).name, _file(value[1:], files, progress))


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
    return progress.wrap_file(file, os.fstat(file.fileno()).st_size, description=name)


def _is_file(stream: IO[Any]) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:
        return False


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk
