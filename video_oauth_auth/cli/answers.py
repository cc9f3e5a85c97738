"""What becomes of an answer: into a file, onto a terminal in a form for people, or into a pipe as it is."""

from __future__ import annotations

import codecs
import errno
import io
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO

import click
import httpx
from rich.highlighter import JSONHighlighter
from rich.progress import Progress
from rich.text import Text

from ..errors import cleaned
from .output import results, say

__all__ = ["check_place", "save", "show"]

PRETTY_AT_MOST = 4 * 1024 * 1024  # bytes of JSON that are kept to be laid out
_TEXT_TYPE = re.compile(r"(text/.*|.*[/+](json|xml|javascript|x-www-form-urlencoded))?", re.IGNORECASE)
# What would steer a terminal, or turn the order of what stands there; and halves of letters, which no stream takes.
_STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def check_place(path: Path) -> None:
    """Find out whether an answer can be written there, before one is asked for.

    Raises:
        click.FileError: it cannot.
    """
    path = Path(os.path.realpath(path))
    needed = [path] if path.exists() else []
    if not _is_special(path):
        needed.append(path.parent)
    failure = 0
    if path.is_dir():
        failure = errno.EISDIR
    elif not path.parent.is_dir():
        failure = errno.ENOENT
    elif not all(os.access(one, os.W_OK) for one in needed):
        failure = errno.EACCES
    if failure:
        raise click.FileError(str(path), hint=os.strerror(failure))


def save(response: httpx.Response, path: Path, progress: Progress) -> None:
    """Write an answer into a file, which keeps its old content until all of it is there.

    Raises:
        click.FileError: the file cannot be written.
        httpx.HTTPError: the answer broke off.
    """
    path = Path(os.path.realpath(path))
    is_special = _is_special(path)
    target = path if is_special else path.with_name(f".{secrets.token_hex(8)}.part")
    length = response.headers.get("Content-Length", "")
    progress.start()
    task = progress.add_task(cleaned(path.name), total=int(length) if length.isdecimal() else None)
    try:
        with target.open("wb" if is_special else "xb") as file:
            if path.exists() and not is_special:
                shutil.copymode(path, target)
            for chunk in response.iter_bytes():
                file.write(chunk)
                progress.update(task, completed=response.num_bytes_downloaded)
        if not is_special:
            target.replace(path)
    except OSError as error:
        failure = os.strerror(error.errno or 0)
    except BaseException:
        if not is_special:
            target.unlink(missing_ok=True)
        raise
    else:
        return
    if not is_special:
        with suppress(OSError):
            target.unlink(missing_ok=True)
    raise click.FileError(str(path), hint=failure)


def show(response: httpx.Response) -> None:
    """Write an answer to stdout.

    Raises:
        click.ClickException: it is not for a terminal.
        httpx.HTTPError: the answer broke off.
    """
    if not sys.stdout.isatty():
        _copy(response.iter_bytes(), sys.stdout.buffer)
        return
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if not _TEXT_TYPE.fullmatch(kind):
        _refuse(response, kind)
        return
    chunks = response.iter_bytes()
    head = _head(chunks)
    laid_out = _laid_out(head) if kind.lower().endswith("json") else None
    if laid_out is not None:
        results().print(JSONHighlighter()(Text(laid_out)), soft_wrap=True)
        return
    for text in _decoded(chain([head], chunks), response.encoding or "utf-8"):
        click.echo(_STEERS.sub("\N{REPLACEMENT CHARACTER}", text), nl=False)


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _refuse(response: httpx.Response, kind: str) -> None:
    if not any(response.iter_bytes()):
        return
    text = f"the answer is {cleaned(kind)!r}, which is not for a terminal"
    if response.status_code < 400:
        raise click.ClickException(f"{text}: give -o FILE")
    say(f"{text}: a pipe gets it")


def _copy(chunks: Iterable[bytes], stream: IO[bytes]) -> None:
    for chunk in chunks:
        stream.write(chunk)
    stream.flush()


def _head(chunks: Iterator[bytes]) -> bytes:
    head = bytearray()
    for chunk in chunks:
        head += chunk
        if len(head) > PRETTY_AT_MOST:
            break
    return bytes(head)


def _laid_out(data: bytes) -> str | None:
    if len(data) > PRETTY_AT_MOST:
        return None
    mark = secrets.token_hex(16)  # numbers are shown as they came, with all their digits
    try:
        text = json.dumps(json.loads(data, parse_float=lambda number: mark + number), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", re.sub(f'"{mark}([^"]*)"', r"\1", text))


def _decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[str]:
    try:
        "a".encode(encoding)
    except (LookupError, UnicodeError):  # Python knows it, but not as one of texts
        encoding = "utf-8"
    decoder = _decoder(encoding)
    for chunk, final in chain(((chunk, False) for chunk in chunks), [(b"", True)]):
        try:
            yield decoder.decode(chunk, final)
        except UnicodeError:  # in spite of "replace"
            decoder = _decoder("utf-8")
            yield decoder.decode(chunk, final)


def _decoder(encoding: str) -> io.IncrementalNewlineDecoder:
    """Give a decoder that ends each line with a newline alone."""
    return io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)("replace"), translate=True)
