"""What stands in for a notebook's kernel in a browser: run a cell, and say what it shows."""

import ast
import io
import json
import logging
import sys
import traceback
import types

sys.path[:0] = ["/course", "/course/book"]
names = {"__name__": "__main__"}
outputs = []


class Stream(io.TextIOBase):
    """Take what is printed, in the order in which it comes."""

    def write(self, text):
        """Add to what was printed last."""
        if outputs and outputs[-1]["kind"] == "print":
            outputs[-1]["text"] += text
        elif text:
            outputs.append({"kind": "print", "text": text})
        return len(text)


class HTML(str):
    """As in IPython."""

    _repr_html_ = str.__str__


def display(*values, raw=False, **_):
    """As in IPython, for HTML and text."""
    for value in values:
        shown = value if raw else {"text/plain": repr(value)}
        html = shown.get("text/html") or getattr(value, "_repr_html_", str)()
        kind = "html" if html else "value"
        outputs.append({"kind": kind, "text": html or shown["text/plain"]})


def run(code):
    """Run a cell; return its outputs as JSON."""
    outputs.clear()
    try:
        last = None
        tree = ast.parse(code, "this cell")
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)
        exec(compile(tree, "this cell", "exec"), names)
        value = last and eval(compile(last, "this cell", "eval"), names)
        if value is not None and not code.rstrip().endswith(";"):
            display(value)
    except BaseException as error:
        trace = error.__traceback__.tb_next
        text = "".join(traceback.format_exception(type(error), error, trace))
        absent = isinstance(error, ImportError) and (error.name or "PyTorch")
        outputs.append({"kind": "error", "text": text, "absent": absent})
    return json.dumps(outputs)


sys.stdout = sys.stderr = Stream()
# It looks for fonts, once.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
ipython = types.ModuleType("IPython")
ipython.get_ipython = lambda: None  # matplotlib asks
ipython.display = types.ModuleType("IPython.display")
ipython.display.display, ipython.display.HTML = display, HTML
sys.modules |= {"IPython": ipython, "IPython.display": ipython.display}
