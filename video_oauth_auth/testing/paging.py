"""Pages of a list, by page number and page size, and links between them."""

import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from .recording import RecordedRequest
from .routes import query_of, whole_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list, and where the others are.

    Attributes:
        items: The part.
        total: How long the whole list is.
        number, size: The parameters of the query and their values.
    """

    items: list[dict[str, Any]]
    total: int
    number: tuple[str, int]
    size: tuple[str, int]

    @classmethod
    def of(
        cls,
        request: RecordedRequest,
        items: list[dict[str, Any]],
        *,
        number: str,
        size: str,
        default: int,
        most: int | None = None,
    ) -> "Page | None":
        """The page that a request asks for by these parameters; None if it does so in a wrong way."""
        query = query_of(request)
        at = whole_number(query.get(number), default=1, least=1)
        per_page = whole_number(query.get(size), default=default, least=1, most=most)
        if at is None or per_page is None:
            return None
        shown = items[(at - 1) * per_page : at * per_page]
        return cls(items=shown, total=len(items), number=(number, at), size=(size, per_page))

    def links(self, url: str) -> dict[str, str | None]:
        """Where this page is and the others are, None where there is none."""
        (_, at), (_, per_page) = self.number, self.size
        last = max(1, math.ceil(self.total / per_page))
        places = {"first": 1, "last": last, "actual": at, "next": at + 1, "previous": at - 1}
        return {name: self._link(url, place) if 1 <= place <= last else None for name, place in places.items()}

    def _link(self, url: str, place: int) -> str:
        return f"{url}?{urlencode({self.size[0]: self.size[1], self.number[0]: place})}"
