"""Turn a matplotlib figure into SVG that belongs to its page: colours, ids and size.

matplotlib writes a file for printing: fixed colours, six decimals, ids that collide when two
figures stand on one page. :func:`inline_svg` rewrites it so that text follows the page's colour,
data colours are CSS variables (:mod:`lstm_book.figures.palette`), ids start with the figure's name,
and coordinates have two decimals. The same figure always gives the same text.
"""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from lstm_book.figures.palette import css_values

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_NUMBER = re.compile(r"-?\d*\.\d+(?:e-?\d+)?")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}\b")
_SPACE = re.compile(r"\s?([A-Za-z])\s?")
_REFERENCE = re.compile(r"#([\w.-]+)")
# A figure is drawn for a column of 480 units; a laptop shows it a quarter larger, a phone smaller.
_SCREEN_SCALE = 1.3


def inline_svg(fig: Figure, *, name: str, alt: str) -> str:
    """Return ``fig`` as one ``<svg>`` element for an HTML page.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        The figure; it is left as it is.
    name : str
        Prefix of every id.
    alt : str
        Description for a reader who cannot see the figure.

    Returns
    -------
    str
        Well-formed XML, no namespace prefixes, no declaration.
    """
    root = ET.fromstring(_render(fig))
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
    _drop_unseen(root)
    _images_to_masks(root)
    _shorten(root)
    _recolor(root)
    _rename_ids(root, name)
    _flatten(root)
    width = float(root.get("viewBox").split()[2])
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", alt)
    # Text in matplotlib's own black carries no fill at all: it inherits this one.
    root.set("fill", "currentColor")
    root.set("style", f"max-width: {width * _SCREEN_SCALE:.0f}px; width: 100%; height: auto")
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def _render(fig: Figure) -> str:
    """Return matplotlib's own SVG; text becomes outlines, the same on every reader's machine."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "image.composite_image": False}):
        fig.savefig(buffer, format="svg", transparent=True)
    return buffer.getvalue()


def _drop_unseen(root: ET.Element) -> None:
    """Remove metadata, the global style sheet (it would reach the page) and unpainted patches."""
    for parent in list(root.iter()):
        parent.text = parent.tail = None
        for child in list(parent):
            unpainted = child.tag == "path" and child.get("style") == "fill: none"
            if unpainted or child.tag in ("metadata", "style"):
                parent.remove(child)
    # What that style sheet said, for the whole figure.
    root.set("stroke-linejoin", "round")
    root.set("stroke-linecap", "butt")


# -------------------------------------------------------------------------------------- numbers
def _shorten(root: ET.Element) -> None:
    """Round coordinates: two decimals, none in the outlines of glyphs (1/64 unit each)."""
    for element in root.iter():
        is_glyph = element.get("transform") == "scale(0.015625)"
        for key in ("d", "points", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "r"):
            if key in element.attrib:
                digits = 0 if is_glyph else 2
                text = _round(" ".join(element.get(key).split()), digits)
                element.set(key, _SPACE.sub(r"\1", text) if key == "d" else text)
        if "transform" in element.attrib:
            parts = re.split(r"(translate\([^)]*\))", element.get("transform"))
            element.set(
                "transform", "".join(_round(p, 2 if p.startswith("tr") else 6) for p in parts)
            )


def _round(text: str, digits: int) -> str:
    def short(match: re.Match[str]) -> str:
        value = f"{float(match[0]):.{digits}f}"
        return value.rstrip("0").rstrip(".") if "." in value else value

    text = _NUMBER.sub(short, text)
    return re.sub(r"(?<![\d.])-0(?![\d.])", "0", text)


# --------------------------------------------------------------------------------------- colours
def _recolor(root: ET.Element) -> None:
    """Replace each colour of the palette by its CSS value."""
    values = css_values()
    for element in root.iter():
        for key in ("style", "fill", "stroke"):
            if key in element.attrib:
                text = _COLOR.sub(lambda m: values.get(m[0].lower(), m[0]), element.get(key))
                element.set(key, re.sub(r"(?<=: )(black|white)\b", lambda m: values[m[0]], text))


def _images_to_masks(root: ET.Element) -> None:
    """Paint an image of one palette colour and varying alpha through a mask, in that CSS colour."""
    known, masks = css_values(), 0
    for parent in list(root.iter()):
        for place, image in enumerate(list(parent)):
            if image.tag != "image":
                continue
            data = image.get(_XLINK + "href").split(",", 1)[1]
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
            visible = pixels[pixels[..., 3] > 0][:, :3]
            color = "#{:02x}{:02x}{:02x}".format(*visible[0]) if len(visible) else ""
            if color not in known or (visible != visible[0]).any():
                image.set("href", image.attrib.pop(_XLINK + "href").replace("\n", ""))
                continue
            masks += 1
            parent[place] = _masked(image, pixels[..., 3], known[color], f"mask-{masks}")


def _masked(image: ET.Element, alpha: np.ndarray, paint: str, name: str) -> ET.Element:
    """Return a group: the alpha channel as a mask and a rectangle of colour seen through it."""
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([np.full_like(alpha, 255), alpha]), "LA").save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    box = {key: image.get(key) for key in ("x", "y", "width", "height") if image.get(key)}
    group = ET.Element("g", {"transform": image.get("transform")})
    mask = ET.SubElement(group, "mask", {"id": name})
    style = "image-rendering: pixelated" if "pixelated" in image.get("style", "") else None
    picture = box | {"href": f"data:image/png;base64,{text}", "preserveAspectRatio": "none"}
    ET.SubElement(mask, "image", picture | ({"style": style} if style else {}))
    ET.SubElement(group, "rect", box | {"fill": paint, "mask": f"url(#{name})"})
    return group


# ------------------------------------------------------------------------------- ids and structure
def _rename_ids(root: ET.Element, name: str) -> None:
    """Number the ids that something refers to, prefixed with ``name``; drop all others."""
    for element in root.iter():
        if _XLINK + "href" in element.attrib:
            element.set("href", element.attrib.pop(_XLINK + "href"))
    keys = ("href", "clip-path", "mask", "style", "fill")
    used: dict[str, str] = {}
    for element in root.iter():
        for key in keys:
            value = element.get(key, "")
            if value.startswith("#") or "url(#" in value:
                for found in _REFERENCE.findall(value):
                    used.setdefault(found, f"{name}-{len(used)}")
    for element in root.iter():
        if "id" in element.attrib:
            old = element.attrib.pop("id")
            if old in used:
                element.set("id", used[old])
        for key in keys:
            value = element.get(key, "")
            if value.startswith("#") or "url(#" in value:
                element.set(key, _REFERENCE.sub(lambda m: "#" + used.get(m[1], m[1]), value))


def _flatten(root: ET.Element) -> None:
    """Remove the groups that do nothing."""
    for parent in reversed(list(root.iter())):
        for place, child in reversed(list(enumerate(parent))):
            if child.tag in ("g", "defs") and not len(child):
                parent.remove(child)
            elif child.tag == "g" and not child.attrib:
                parent[place : place + 1] = list(child)
