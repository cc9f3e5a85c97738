"""What is shown at the end."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .figures import ClientFigures, Figures
from .session_figures import session_facts
from .sign_in_figures import sign_in_facts


def show_result(console: Console, figures: Figures, complaints: Sequence[str]) -> None:
    """Show the figures, and what they mean or what is wrong with them."""
    console.print()
    console.rule(Text("What it came to", style="bold"), align="left")
    console.print(_table(figures))
    console.print()
    for line in complaints or _facts(figures):
        mark = ("  ✗ ", "bold red") if complaints else ("  ✓ ", "bold green")
        console.print(Text.assemble(mark, line), soft_wrap=True)
    console.print()
    verdict = "Something is off." if complaints else "The programs noticed nothing."
    console.print(Text(f"  {verdict} ({figures.seconds:.1f} s)", "bold red" if complaints else "bold green"))


def _table(figures: Figures) -> Table:
    table = Table("client", box=None, pad_edge=True, padding=(0, 2), header_style="dim")
    for heading in ("requests", "failed", "401 ↻", "uploads", "intact"):
        table.add_column(heading, justify="right")
    for client in figures.clients:
        table.add_row(*_cells(client))
    table.add_row(*_cells(figures.total), style="bold")
    return table


def _cells(client: ClientFigures) -> tuple[str, ...]:
    numbers = (client.requests, client.failures, client.replays, client.uploads, client.intact)
    return client.name, *map(str, numbers)


def _facts(figures: Figures) -> list[str]:
    total = figures.total
    reasons = f"1 at first, {figures.expiries} at a token's end, {figures.revocations} after a 401"
    return [
        f"{total.failures} of {total.requests} requests failed",
        f"{figures.token_calls} token calls: {reasons}",
        f"{total.replays} requests met a 401 and were sent again, whole films among them",
        f"{figures.crowd} uploads met it at the same moment and shared {figures.crowd_token_calls} token call",
        f"{total.intact} of {figures.films} films are in the storage byte for byte (SHA-256)",
        f"{figures.tokens_elsewhere} tokens seen by the storage, which is another origin",
        *session_facts(figures.session),
        *sign_in_facts(figures.sign_in),
    ]
