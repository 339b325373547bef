"""Sphinx extension: buttons that lead to the repository, once ``_config.yml`` says where it is.

``repository: url`` there is the one setting. Empty, a page has no button that leads nowhere; its
notebook can be downloaded all the same. Set, every page links to its source, and every chapter
opens on Binder and on Colab.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

SERVICES = {
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",  # opens notebooks on GitHub only
    "notebook_interface": "jupyterlab",
}
BUTTONS = (
    "use_repository_button",
    "use_issues_button",
    "use_edit_page_button",
    "use_source_button",
)


def clean(address: str | None) -> str:
    """Return the address as it is set, without a slash at its end; ``""`` for none."""
    return (address or "").strip().rstrip("/")


def options(address: str) -> dict[str, Any]:
    """Return the theme's options for a repository at an address, or for none."""
    services = dict(SERVICES)
    if "github.com" not in address:
        services["colab_url"] = ""
    return {
        "repository_url": address,
        "launch_buttons": services if address else {},
        **dict.fromkeys(BUTTONS, bool(address)),
    }


def set_options(app: Sphinx, config: Config) -> None:
    """Replace what Jupyter Book makes of ``_config.yml``."""
    theme = config.html_theme_options
    theme.update(options(clean(theme.get("repository_url"))))


def setup(app: Sphinx) -> dict[str, bool]:
    """Set the options before any page is written."""
    app.connect("config-inited", set_options, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
