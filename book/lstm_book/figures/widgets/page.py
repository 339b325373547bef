"""The HTML of a widget: a complete figure, and the scripts that bring it to life."""

from __future__ import annotations

_ASSETS = "../_static/widgets/"


def figure_page(name: str, still: str, caption: str, scripts: tuple[str, ...] = ()) -> str:
    """Return what a page of ``book/`` includes.

    Parameters
    ----------
    name : str
        The widget, as in its files.
    still : str
        HTML of the figure as it is without scripts.
    caption : str
        HTML of the caption.
    scripts : tuple of str
        What its own script needs besides ``lstm.js`` and its data.
    """
    tags = "\n".join(
        f'<script src="{_ASSETS}{file}.js"></script>'
        for file in ("lstm", *scripts, f"data/{name}", name)
    )
    return (
        f'<link rel="stylesheet" href="{_ASSETS}widgets.css">\n'
        f'<figure class="lstm-figure lstm-widget" id="widget-{name}" lang="en">\n'
        f'<div class="widget-still">\n{still}\n</div>\n'
        # Before anything below is laid out, so that nothing moves when the figure comes to life.
        f"{tags}\n"
        f"<figcaption>{' '.join(caption.split())}</figcaption>\n"
        "</figure>\n"
    )
