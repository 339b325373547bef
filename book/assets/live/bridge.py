"""What stands in for a notebook's kernel in a browser: run a cell, and say what it shows."""

import ast
import json
import logging
import sys
import traceback
import types

sys.path[:0] = ["/course", "/course/book"]
names = {"__name__": "__main__"}
outputs = []


class Stream:
    """Take what is printed, in the order in which it comes."""

    encoding = "utf-8"

    def write(self, text):
        """Add to what was printed last."""
        if outputs and outputs[-1]["kind"] == "print":
            outputs[-1]["text"] += text
        elif text:
            outputs.append({"kind": "print", "text": text})
        return len(text)

    def flush(self):
        """Do nothing: what is printed is there."""

    def isatty(self):
        """Return False."""
        return False


class HTML:
    """As in IPython."""

    def __init__(self, data):
        self.data = data

    def _repr_html_(self):
        return self.data


def display(*values, raw=False, **_):
    """As in IPython, for HTML and text."""
    for value in values:
        html = (
            value.get("text/html")
            if raw
            else getattr(value, "_repr_html_", lambda: None)()
        )
        if html is None:
            outputs.append(
                {"kind": "value", "text": value["text/plain"] if raw else repr(value)}
            )
        else:
            outputs.append({"kind": "html", "text": html})


def run(code):
    """Run a cell; return its outputs as JSON."""
    outputs.clear()
    try:
        tree = ast.parse(code, "this cell")
        last = (
            tree.body and isinstance(tree.body[-1], ast.Expr) and tree.body.pop().value
        )
        exec(compile(tree, "this cell", "exec"), names)
        if last:
            value = eval(compile(ast.Expression(last), "this cell", "eval"), names)
            if value is not None and not code.rstrip().endswith(";"):
                display(value)
    except BaseException as error:
        trace = error.__traceback__.tb_next
        text = "".join(traceback.format_exception(type(error), error, trace))
        absent = isinstance(error, ImportError) and (error.name or "PyTorch")
        outputs.append({"kind": "error", "text": text, "absent": absent})
    return json.dumps(outputs)


class Absent(types.ModuleType):
    """A module that a chapter's tools import and its cells do not use: SciPy."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.setdefault(
            f"{self.__name__}.{name}", Absent(f"{self.__name__}.{name}")
        )

    def __call__(self, *_, **__):
        """Say what is absent."""
        raise ModuleNotFoundError(
            f"No module named {self.__name__!r}", name=self.__name__
        )


sys.modules["scipy"] = Absent("scipy")
for name in ("sparse", "special", "stats", "optimize"):
    sys.modules[f"scipy.{name}"] = getattr(sys.modules["scipy"], name)
sys.stdout = sys.stderr = Stream()
logging.getLogger("matplotlib.font_manager").setLevel(
    logging.ERROR
)  # it looks for fonts, once
for name in ("IPython", "IPython.display"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["IPython"].get_ipython = lambda: None  # matplotlib asks
sys.modules["IPython"].display = sys.modules["IPython.display"]
sys.modules["IPython.display"].display = display
sys.modules["IPython.display"].HTML = HTML
