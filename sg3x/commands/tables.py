"""Tables and lines on a terminal as they are: never cut, and no bracket of a path taken for markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_ANY_WIDTH = 100_000


def show(what: Table | Text) -> None:
    """Prints it at its own width, in colours on a terminal.

    The terminal wraps what is wider than itself; rich would cut it there, and at 80 columns in a pipe. Words of a file go
    into `Text` and through `sg3x.files.terminal.one_line`: rich writes past `plain_output`.
    """
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    widest = console.options.update(width=_ANY_WIDTH, max_width=_ANY_WIDTH)
    console.width = max(console.width, console.measure(what, options=widest).maximum)
    console.print(what, soft_wrap=True)
