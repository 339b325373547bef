"""Results as tables: HTML on the page, aligned text where there is no page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from IPython.display import display

from lstm.signatures import checked

__all__ = ["show"]


@checked
def show(
    rows: Iterable[Sequence[object]],
    header: Sequence[str],
    *,
    caption: str = "",
    words: bool = False,
) -> None:
    """Display a table; its first column names the rows.

    Parameters
    ----------
    rows : iterable of sequences
        Each as long as ``header``. Numbers come as the text that is to be shown, ``f"{x:.3f}"``.
    header : sequence of str
        Names of the columns; the first one names the names of the rows.
    caption : str, optional
        What the table shows, with units.
    words : bool
        Whether the cells hold sentences, set from the left, and not numbers.

    Raises
    ------
    ValueError
        If a row is not as long as the header.
    """
    table = [[str(cell) for cell in row] for row in rows]
    for row in table:
        if len(row) != len(header):
            raise ValueError(f"a row must have {len(header)} cells, got {row}")
    html = _html(table, header, caption, " lstm-words" if words else "")
    display({"text/html": html, "text/plain": _text(table, header)}, raw=True)


def _html(table: list[list[str]], header: Sequence[str], caption: str, kind: str) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in table
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<figure class="lstm-figure lstm-table{kind}"><table class="table">{title}\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></figure>"
    )


def _text(table: list[list[str]], header: Sequence[str]) -> str:
    rows = [list(header), *table]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    )
