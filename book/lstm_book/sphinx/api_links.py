"""Sphinx extension: names in docstrings, and in the chapters' code, lead to the API reference.

The reference documents an object once, under the name by which it is imported (``lstm.LSTM``). A
docstring may name it as its module does (``lstm.layer.LSTM``, ``LSTM``): what counts is the object.
A name that is not an object of the package stays unresolved, and the build stops at it. The first
``lstm.NAME`` in the text of a page becomes a link; the label of an equation in a docstring becomes
the equation's number, and a link.
"""

from __future__ import annotations

import pkgutil
from types import ModuleType

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform

NO_OBJECT = (ImportError, AttributeError, ValueError)
"""What a name that means nothing raises."""

# Identity of a documented object → the object, kept so that no other takes over its identity, and
# the name of its entry.
ENTRIES: dict[int, tuple[object, str]] = {}


def entry(env: BuildEnvironment, name: str) -> str | None:
    """Return the reference's own name for what ``name`` means; NO_OBJECT where it is nothing."""
    if not ENTRIES:
        for known in env.get_domain("py").objects:
            try:
                found = pkgutil.resolve_name(known)
            except NO_OBJECT:  # an attribute that only an instance has
                continue
            if callable(found) or isinstance(found, ModuleType | dict | property):
                ENTRIES.setdefault(id(found), (found, known))
    _, known = ENTRIES.get(id(pkgutil.resolve_name(name)), (None, None))
    return known


def resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Node
) -> nodes.Node | None:
    """Resolve a name that the reference has under another name, or does not have."""
    if node.get("refdomain") != "py":
        return None
    module, owner = node.get("py:module"), node.get("py:class")
    for scope in (f"{module}.{owner}" if owner else None, module, ""):
        name = f"{scope}.{node['reftarget']}" if scope else node["reftarget"]
        try:
            known = entry(env, name)
        except NO_OBJECT:
            continue
        if known:
            domain = env.get_domain("py")
            return domain.resolve_xref(
                env, node["refdoc"], app.builder, "obj", known, node, content
            )
        if name.startswith("lstm"):
            return content  # the package has it, the reference leaves it out
    return None


class LinkNames(SphinxPostTransform):
    """Turn names in the text of a page into references, which Sphinx then resolves."""

    default_priority = 5  # before references are resolved

    def run(self, **_: object) -> None:
        """Link a name once on each page, and in the reference every equation."""
        objects = self.env.get_domain("py").objects
        equations = self.env.get_domain("math").equations
        seen: set[str] = set()
        for literal in list(self.document.findall(nodes.literal)):
            text = literal.astext()
            if inside(literal, nodes.reference, nodes.title, addnodes.pending_xref):
                continue
            if text.startswith("lstm.") and text not in seen:
                seen.add(text)
                name = text.partition("(")[0]
                try:
                    known = name if name in objects else entry(self.env, name)
                except NO_OBJECT:
                    continue
                if known and objects[known].docname != self.env.docname:
                    self.refer(literal, "py", "obj", known)
            elif text in equations and self.env.docname.startswith("book/api"):
                self.refer(literal, "math", "eq", text)

    def refer(self, literal: nodes.literal, domain: str, kind: str, target: str) -> None:
        """Put a reference in the place of a literal, whose text it shows."""
        about = {"refdomain": domain, "reftype": kind, "reftarget": target}
        page = self.env.docname
        literal.replace_self(addnodes.pending_xref("", literal.deepcopy(), refdoc=page, **about))


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
