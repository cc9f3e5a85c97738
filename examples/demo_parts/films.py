"""The films: files of random bytes, with what has to arrive of them."""

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

SIZES = (230_000, 710_000, 1_150_000, 1_630_000)  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film on disk."""

    path: Path
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Its name, which no other film has."""
        return self.path.name


def make_films(folder: Path, count: int) -> list[Film]:
    """Write this many films into a folder."""
    return [_make_film(folder / f"film-{number:02}", SIZES[number % len(SIZES)]) for number in range(1, count + 1)]


def _make_film(path: Path, size: int) -> Film:
    content = secrets.token_bytes(size)
    path.write_bytes(content)
    return Film(path=path, size=size, sha256=hashlib.sha256(content).hexdigest())
