"""A classifier of texts that one keeps: in one file, with its words and its settings.

The file is in the format of safetensors: eight bytes with the size of a header, the header in JSON
with the type, shape and place of every array and texts about them, then the arrays. It holds no
code, so that opening one from a stranger runs nothing. One of the texts is a SHA-256 of all else.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm import checks
from lstm.checkpoint import replace_file
from lstm.signatures import checked
from lstm_book.recipes.linear import Linear
from lstm_book.recipes.ngrams import NGrams
from lstm_book.recipes.sentences import FEATURES, SentenceClassifier, SentenceReader

KIND = "lstm_book sentences 1"
DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
LARGEST_HEADER = 100_000_000


class ModelError(RuntimeError):
    """A file is no model that can be read; the message says why."""


@checked
def write_safetensors(
    path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, str]
) -> None:
    """Write arrays, and texts about them, to one file, whole or not at all.

    Raises
    ------
    ValueError
        If an array is of another type than float32, float64 or int64.
    OSError
        If the file cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": dict(about)}
    content, place = [], 0
    for name, array in arrays.items():
        kind = next((kind for kind, dtype in DTYPES.items() if array.dtype == dtype), None)
        if kind is None:
            raise ValueError(f"{name} must have one of the types {list(DTYPES)}, got {array.dtype}")
        content.append(np.ascontiguousarray(array, DTYPES[kind]).tobytes())
        ends = [place, place := place + len(content[-1])]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": ends}
    body = b"".join(content)
    header["__metadata__"]["sha256"] = digest(header, body)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    replace_file(path, len(text).to_bytes(8, "little") + text + body)


@checked
def digest(header: Mapping[str, Any], body: bytes) -> str:
    """Return the SHA-256 of what a file holds, but for that text itself."""
    about = {name: text for name, text in header["__metadata__"].items() if name != "sha256"}
    text = json.dumps({**header, "__metadata__": about}, sort_keys=True)
    return hashlib.sha256(text.encode() + body).hexdigest()


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return what :func:`write_safetensors` wrote.

    Raises
    ------
    ModelError
        If the file is damaged or no such file.
    """
    path = checks.path("path", path)
    try:
        if not path.is_file():  # a device has no end
            raise FileNotFoundError("there is no such file")
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        if not 2 <= size <= min(LARGEST_HEADER, len(content) - 8):
            raise ValueError(f"its header cannot have {size} bytes")
        header, body, arrays = json.loads(content[8 : 8 + size]), content[8 + size :], {}
        if header["__metadata__"]["sha256"] != digest(header, body):
            raise ValueError("it is damaged: its SHA-256 is another than that in it")
        about = header.pop("__metadata__")
        for name, entry in header.items():
            dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
            first, end = entry["data_offsets"]
            if not 0 <= first <= end <= len(body):
                raise ValueError(f"{name} lies outside of the file")
            if end - first != dtype.itemsize * math.prod(shape):
                raise ValueError(f"{name} has another size than {shape}")
            arrays[name] = np.frombuffer(body[first:end], dtype).reshape(shape)
        return arrays, about
    except OSError as error:
        raise ModelError(f"{path} could not be read: {error}") from error
    except Exception as error:  # a damaged file can raise anything
        raise ModelError(f"{path} could not be read as a model: {error!r}") from error


@checked
def save(
    path: Path, classifier: SentenceClassifier, about: Mapping[str, Any] | None = None
) -> None:
    """Keep a classifier in a file.

    Parameters
    ----------
    path : Path
        Where to.
    classifier : SentenceClassifier
        What :func:`lstm_book.recipes.sentences.train_classifiers` returned.
    about : mapping, optional
        What else one wants to know of it; values that JSON can hold.
    """
    ngrams, reader = classifier.ngrams, classifier.reader
    arrays = {f"codes.{order}": codes for order, codes in enumerate(ngrams.codes)}
    arrays |= {"base.weights": classifier.base.weights.astype(np.float32)}
    arrays |= {"base.bias": np.array([classifier.base.bias]), "scale": classifier.scale}
    arrays |= {f"reader.{name}": array for name, array in reader.state_dict().items()}
    texts = {"kind": KIND, "words": "\n".join(ngrams.words), "about": json.dumps(about or {})}
    texts["settings"] = json.dumps({"hidden_size": reader.hidden_size, "dropout": reader.dropout.p})
    write_safetensors(Path(path), arrays, texts)


@checked
def load(path: Path) -> SentenceClassifier:
    """Return the classifier that :func:`save` kept.

    Raises
    ------
    ModelError
        If the file is damaged, or holds something else.
    """
    arrays, texts = read_safetensors(path)
    if texts.get("kind") != KIND:
        raise ModelError(f"{path} is no classifier of `python -m lstm_book train --save`")
    try:
        settings = json.loads(texts["settings"])
        ngrams = NGrams(texts["words"].split("\n"), [arrays["codes.0"], arrays["codes.1"]])
        base = Linear(arrays["base.weights"], float(arrays["base.bias"][0]))
        if base.weights.shape != (len(ngrams),) or arrays["scale"].shape != (FEATURES,):
            raise ValueError("its arrays do not fit together")
        reader = SentenceReader("lstm", settings, np.random.default_rng(0))
        own = {n.removeprefix("reader."): a for n, a in arrays.items() if n.startswith("reader.")}
        reader.load_state_dict(own)
        return SentenceClassifier(ngrams, base, arrays["scale"], reader.eval())
    except Exception as error:  # a file that was made to do harm can raise anything
        raise ModelError(f"{path} is damaged: {error!r}") from error


@checked
def about(path: Path) -> dict[str, Any]:
    """Return what was noted when a classifier was kept."""
    return json.loads(read_safetensors(path)[1].get("about", "{}"))


@checked
def to_onnx(classifier: SentenceClassifier) -> Any:
    """Return the network over the sentences as an ONNX model; the weights of n-grams stay outside.

    Its inputs are those of :meth:`SentenceClassifier.inputs`: ``x`` (B, T, 8), ``lengths`` (B,) and
    ``base`` (B,); its output is ``probability`` (B,). Each direction is an LSTM node of its own.
    The one that reads backwards gets every review turned round within its length, so that neither
    needs to be told where a review ends.

    Returns
    -------
    onnx.ModelProto
        Checked. Opset 17.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    reader, nodes, constants = classifier.reader, [], {}

    def constant(name: str, value: Any) -> str:
        constants[name] = np.asarray(value)
        return name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    state, hidden = reader.recurrent.state_dict(), reader.hidden_size
    turn = {"batch_axis": 1, "time_axis": 0}
    steps = node("Transpose", ["x"], "steps", perm=[1, 0, 2])
    directions = []
    for name, suffix in (("forwards", ""), ("backwards", "_reverse")):
        read = steps
        if suffix:
            read = node("ReverseSequence", [steps, "lengths"], "turned", **turn)
        # ONNX has the gates in the order i, o, f, g; ours is i, f, g, o.
        weights = []
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            i, f, g, o = np.split(state[f"{kind}_l0{suffix}"], 4)
            weights.append(np.concatenate([i, o, f, g])[None])
        w, u = (constant(f"{k}_{name}", a) for k, a in zip("wu", weights[:2], strict=True))
        b = constant(f"b_{name}", np.concatenate(weights[2:], axis=1))
        node("LSTM", [read, w, u, b], f"every_{name}", hidden_size=hidden)
        every = node("Squeeze", [f"every_{name}", constant(f"one_{name}", [1])], f"h_{name}")
        if suffix:
            every = node("ReverseSequence", [every, "lengths"], f"back_{name}", **turn)
        directions.append(node("Transpose", [every], f"batch_{name}", perm=[1, 0, 2]))
    output = node("Concat", directions, "output", axis=2)

    zero, one = constant("zero", np.int64(0)), constant("one", np.int64(1))
    count = node("Gather", [node("Shape", ["x"], "shape"), one], "count")
    place = node("Range", [zero, count, one], "place")
    ends = node("Unsqueeze", ["lengths", constant("axis_1", [1])], "ends")
    counts = node("Unsqueeze", [node("Less", [place, ends], "in"), constant("axis_2", [2])], "mask")
    nothing = node("Where", [counts, output, constant("none", np.float32(0))], "only")
    total = node("ReduceSum", [nothing, "axis_1"], "total", keepdims=0)
    mean = node("Div", [total, node("Cast", [ends], "many", to=TensorProto.FLOAT)], "mean")
    low = node("Where", [counts, output, constant("least", np.float32(-2))], "low")
    largest = node("ReduceMax", [low], "largest", axes=[1], keepdims=0)
    last = node("Equal", [place, node("Sub", [ends, one], "before")], "is_last")
    last = node("Unsqueeze", [last, "axis_2"], "at_last")
    last = node("Where", [last, directions[0], "none"], "last_only")
    last = node("ReduceSum", [last, "axis_1"], "last", keepdims=0)
    first = node("Gather", [directions[1], zero], "first", axis=1)
    pooled = node("Concat", [mean, largest, last, first], "pooled", axis=1)
    weight = constant("head_weight", reader.head.weight.data.T)
    added = node("MatMul", [pooled, weight], "product")
    added = node("Add", [added, constant("head_bias", reader.head.bias.data)], "added")
    trusted = node("Mul", ["base", constant("trust", reader.trust.data)], "trusted")
    logit = node("Add", [node("Squeeze", [added, "axis_1"], "flat"), trusted], "logit")
    node("Sigmoid", [logit], "probability")

    value, kind = helper.make_tensor_value_info, TensorProto
    inputs = [
        value("x", kind.FLOAT, ["B", "T", FEATURES]),
        value("lengths", kind.INT64, ["B"]),
        value("base", kind.FLOAT, ["B"]),
    ]
    outputs = [value("probability", kind.FLOAT, ["B"])]
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "sentences", inputs, outputs, stored)
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    checker.check_model(model, full_check=True)
    return model
