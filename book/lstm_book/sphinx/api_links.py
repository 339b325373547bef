"""Sphinx extension: names in docstrings, and in the chapters' code, lead to the API reference.

The reference documents an object once, under the name by which it is imported (``lstm.LSTM``). A
docstring may name it as its module does (``lstm.layer.LSTM``, ``LSTM``): what counts is the object.
A name that is not an object of the package stays unresolved, and the build stops at it. The first
``lstm.NAME`` in the text of a page becomes a link; the label of an equation in a docstring becomes
the equation's number, and a link.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform


def find_object(name: str) -> Any:
    """Import what a dotted name means; raise LookupError where it means nothing."""
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:size]))
        except ImportError:
            continue
        try:
            for part in parts[size:]:
                found = getattr(found, part)
        except AttributeError:
            raise LookupError(name) from None
        return found
    raise LookupError(name)


# Identity of a documented object → the object, kept so that no other takes over its identity, and
# the name of its entry.
ENTRIES: dict[int, tuple[object, str]] = {}


def entry(env: BuildEnvironment, name: str) -> str | None:
    """Return the reference's own name for what ``name`` means; LookupError where it is nothing."""
    if not ENTRIES:
        for known in env.get_domain("py").objects:
            try:
                found = find_object(known)
            except LookupError:  # an attribute that only an instance has
                continue
            if callable(found) or isinstance(found, ModuleType | dict | property):
                ENTRIES.setdefault(id(found), (found, known))
    _, known = ENTRIES.get(id(find_object(name)), (None, None))
    return known


def resolve(
    app: Sphinx, env: BuildEnvironment, node: nodes.Element, content: nodes.Node
) -> nodes.Node | None:
    """Resolve a name that the reference has under another name, or does not have."""
    if node.get("refdomain") != "py":
        return None
    module, owner = node.get("py:module"), node.get("py:class")
    for scope in (f"{module}.{owner}" if owner else None, module, ""):
        name = f"{scope}.{node['reftarget']}" if scope else node["reftarget"]
        try:
            known = entry(env, name)
        except LookupError:
            continue
        if known:
            return link(app, env, node["refdoc"], known, content)
        if name.startswith("lstm."):
            return content  # the package has it, the reference leaves it out
    return None


def link(
    app: Sphinx, env: BuildEnvironment, page: str, known: str, content: nodes.Node
) -> nodes.reference:
    """Return a link from ``page`` to an entry of the reference."""
    target = env.get_domain("py").objects[known]
    address = app.builder.get_relative_uri(page, target.docname)
    return nodes.reference(
        "",
        "",
        content,
        internal=True,
        refuri=f"{address}#{target.node_id}",
        reftitle=known,
    )


class LinkNames(SphinxPostTransform):
    """Turn names in the text of a page into links to the reference."""

    default_priority = 15  # after the references that the page itself makes

    def run(self, **_: object) -> None:
        """Link a name once on each page, and in the reference every equation."""
        seen: set[str] = set()
        for literal in list(self.document.findall(nodes.literal)):
            text = literal.astext()
            if inside(literal, nodes.reference, nodes.title, addnodes.pending_xref):
                continue
            if text.startswith("lstm.") and text not in seen:
                seen.add(text)
                self.link_name(literal, text)
            elif text.startswith("eq-") and self.env.docname.startswith("book/api"):
                self.link_equation(literal, text)

    def link_name(self, literal: nodes.literal, text: str) -> None:
        """Link the name of an object to its entry on another page."""
        objects = self.env.get_domain("py").objects
        name = text.partition("(")[0]
        if name not in objects:
            try:
                name = entry(self.env, name)
            except LookupError:
                return
        if name and objects[name].docname != self.env.docname:
            new = link(self.app, self.env, self.env.docname, name, literal.deepcopy())
            literal.replace_self(new)

    def link_equation(self, literal: nodes.literal, label: str) -> None:
        """Put the number of an equation, as a link to it, in the place of its label."""
        domain = self.env.get_domain("math")
        if label not in domain.equations:
            return
        page, _ = domain.equations[label]
        place = f"equation-{nodes.make_id(label)}"
        numbers = self.env.toc_fignumbers.get(page, {}).get("displaymath", {})
        if place not in numbers:
            return
        number = ".".join(map(str, numbers[place]))
        address = self.app.builder.get_relative_uri(self.env.docname, page)
        literal.replace_self(
            nodes.reference(
                "",
                f"({number})",
                internal=True,
                refuri=f"{address}#{place}",
                reftitle=label,
            )
        )


def inside(node: nodes.Node, *kinds: type[nodes.Node]) -> bool:
    """Return whether a node stands in a node of one of these kinds."""
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def setup(app: Sphinx) -> dict[str, bool]:
    """Resolve names after all pages are read."""
    app.connect("missing-reference", resolve)
    app.connect("builder-inited", lambda _: ENTRIES.clear())
    app.add_post_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
