"""Models are data: whatever a model folder holds, reading it fails with one line or predicts, and does nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import whoplays
from conftest import invoke, write_tiny_model
from whoplays.errors import ModelError
from whoplays.model import check as model_check
from whoplays.model import folder as model_folder
from whoplays.model import onnxfile
from whoplays.model.config import ModelConfig

Change = Callable[[onnx.ModelProto], None]


def with_network(folder: Path, network: bytes) -> Path:
    """A folder whose checksums are right, as whoever made it would have them."""
    write_tiny_model(folder)
    config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text()))
    model_folder.write(folder, config, network, "# hostile")
    return folder


def network(change: Change, folder: Path) -> bytes:
    model = onnx.load(str(write_tiny_model(folder / "good") / "model.onnx"))
    change(model)
    return model.SerializeToString()


def add_weights(model: onnx.ModelProto, array: np.ndarray) -> onnx.TensorProto:
    model.graph.initializer.append(numpy_helper.from_array(array, "w"))
    return model.graph.initializer[-1]


def external(location: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = add_weights(model, np.ones(4, dtype=np.float32))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "16")):
            tensor.external_data.add(key=key, value=value)

    return change


def node(kind: str, domain: str = "", **attributes) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node(kind, ["features"], ["unused"], domain=domain, **attributes))
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))

    return change


def inside(kind: str) -> Change:
    """An operator hidden in a branch of another."""
    hidden = helper.make_graph([helper.make_node(kind, [], ["y"])], "branch", [], [])
    return node("If", then_branch=hidden, else_branch=hidden)


def dims(*shape: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        add_weights(model, np.ones(2, dtype=np.float32)).dims[:] = shape

    return change


def weights(value: float, kind: type = np.float32, typed: bool = False) -> Change:
    def change(model: onnx.ModelProto) -> None:
        array = np.array([1.0, value, 2.0]).astype(kind)
        tensor = add_weights(model, array)
        if typed:
            tensor.CopyFrom(helper.make_tensor("w", tensor.data_type, [3], array.tolist()))

    return change


def nested(levels: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        graph = helper.make_graph([helper.make_node("Identity", ["features"], ["y"])], "g", [], [])
        for _ in range(levels):
            graph = helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=graph)], "g", [], [])
        model.graph.node.extend(graph.node)

    return change


def functions(model: onnx.ModelProto) -> None:
    body = [helper.make_node("Identity", ["x"], ["y"])]
    model.functions.append(helper.make_function("mine", "Twice", ["x"], ["y"], body, [helper.make_opsetid("", 17)]))


def sparse(model: onnx.ModelProto) -> None:
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    where = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, where, [10**10]))


def text(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.STRING, [1], [b"import os"]))


def two_typed_fields(model: onnx.ModelProto) -> None:
    add_weights(model, np.ones(2, dtype=np.float32)).float_data.extend([1.0, 2.0])


HOSTILE = {
    "external data outside the folder": (external("../../../../etc/passwd"), "outside the file"),
    "external data by a whole path": (external("/etc/passwd"), "outside the file"),
    "external data inside the folder": (external("weights.bin"), "outside the file"),
    "external data at an address in memory": (external("*/_ORT_MEM_ADDR_/*"), "outside the file"),
    "an operator of another domain": (node("Evil", "evil.corp"), "evil.corp.Evil, which is none of ONNX"),
    "an operator that runs Python": (node("PythonOp", "com.microsoft"), "no arithmetic"),
    "an operator with a compiled engine": (node("EPContext", "com.microsoft"), "no arithmetic"),
    "a name that writes to the terminal": (node("\x1b[2J", "x\ny"), r"x\?y\.\?\[2J"),
    "an endless loop": (node("Loop"), "Loop, which may run without end"),
    "an endless loop in a branch": (inside("Loop"), "Loop, which may run without end"),
    "random numbers": (inside("RandomNormal"), "gives random numbers"),
    "functions": (functions, "functions of its own"),
    "graphs within graphs": (nested(18), "deep"),
    "10 GB claimed": (dims(2_500_000_000), "claims 2,500,000,000 numbers, and holds 2"),
    "more than any integer claimed": (dims(*[2**62] * 8), "numbers, and holds 2"),
    "a negative shape": (dims(-1), "claims the shape"),
    "sparse": (sparse, "sparse"),
    "text": (text, "text"),
    "numbers held twice": (two_typed_fields, "twice"),
    "NaN weights": (weights(float("nan")), "NaN or infinite"),
    "infinite weights": (weights(float("inf")), "NaN or infinite"),
    "NaN in 16 bits": (weights(float("nan"), np.float16), "NaN or infinite"),
    "NaN in 16 bits, as numbers": (weights(float("nan"), np.float16, typed=True), "NaN or infinite"),
    "NaN in 64 bits": (weights(float("nan"), np.float64), "NaN or infinite"),
    "NaN, as numbers": (weights(float("nan"), typed=True), "NaN or infinite"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_network_is_refused_with_one_line(what: str, tmp_path: Path) -> None:
    change, cause = HOSTILE[what]
    folder = with_network(tmp_path / "model", network(change, tmp_path))
    with pytest.raises(ModelError, match=cause) as caught:
        whoplays.load(folder)
    assert str(folder) in str(caught.value)
    assert str(caught.value).isprintable()  # so it is one line, and writes nothing to a terminal


def test_the_bytes_decide_not_what_protocol_buffers_would_pass_over(tmp_path: Path) -> None:
    # A second op_type in the wrong encoding: a reader that took it for the operator's name would miss the Loop.
    data = network(node("Loop"), tmp_path)
    at = data.rindex(b"\x22\x04Loop")
    loop = data[: at + 6] + b"\x20\x01" + data[at + 6 :]
    found = data.rfind(b"\x0a", 0, at)  # lengths before it are off by two now: the file is damaged or refused, not run
    assert found >= 0
    with pytest.raises(ModelError):
        onnxfile.inspect(loop)
    with pytest.raises(ModelError, match="field 4 of a node"):
        list(onnxfile._checked(b"\x20\x01", "Node", 0, 2))


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x3a\x00\x3a\x00", b"\xff" * 40, b"ORTM" * 20, b"PK\x03\x04zip"])
def test_what_is_no_network_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        onnxfile.inspect(content)


def test_every_prefix_of_a_network_is_refused_or_whole(tiny_model: Path) -> None:
    data = (tiny_model / "model.onnx").read_bytes()
    whole = onnxfile.inspect(data)
    for size in range(len(data)):
        try:
            assert onnxfile.inspect(data[:size]).nodes <= whole.nodes
        except ModelError as error:
            assert "\n" not in str(error)


def test_the_reader_agrees_with_onnx_on_its_own_examples() -> None:
    """Each of the format's own test networks is read, with the same operators, or refused for a reason that is meant."""
    files = sorted(Path(onnx.__file__).parent.glob("backend/test/data/**/*.onnx"))
    if not files:
        pytest.skip("this onnx package comes without its test networks")
    refused = ("none of ONNX", "without end", "random", "text", "functions", "sparse", "training", "NaN or infinite")
    for file in files:
        data = file.read_bytes()
        try:
            found = onnxfile.inspect(data)
        except ModelError as error:
            assert any(cause in str(error) for cause in refused), (file, error)
            continue
        model = onnx.load_from_string(data)
        assert found.nodes >= len(model.graph.node), file
        assert found.tensors >= len(model.graph.initializer), file


def test_the_table_of_fields_is_that_of_the_format() -> None:
    messages = {"Model": onnx.ModelProto, "Graph": onnx.GraphProto, "Node": onnx.NodeProto}
    messages |= {"Attribute": onnx.AttributeProto, "Tensor": onnx.TensorProto}
    for name, message in messages.items():
        theirs = {entry.number for entry in message.DESCRIPTOR.fields}
        assert set(onnxfile.SCHEMA[name]) - theirs == set(), name
        assert theirs - set(onnxfile.SCHEMA[name]) <= {26, 10}, name  # a newer onnx may know more; those are refused


def test_one_infinite_number_is_a_bound(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        add_weights(model, np.array(-np.inf, dtype=np.float32))

    assert onnxfile.inspect(network(change, tmp_path)).tensors == 1


def big(numbers: int, at_run_time: bool) -> Change:
    """A constant of so many numbers, made by the network itself from a few bytes."""

    def change(model: onnx.ModelProto) -> None:
        add_weights(model, np.array([numbers], dtype=np.int64))
        one = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
        shape = [helper.make_node("Identity", ["w"], ["shape"])]
        if at_run_time:
            shape = [
                helper.make_node("Shape", ["features"], ["s"]),
                helper.make_node("ReduceProd", ["s"], ["p"], keepdims=1),
                helper.make_node("Mul", ["p", "w"], ["shape"]),
            ]
        more = [
            *shape,
            helper.make_node("ConstantOfShape", ["shape"], ["c"], value=one),
            helper.make_node("ReduceMean", ["c"], ["mean"], keepdims=0),
            helper.make_node("Add", ["all", "mean"], ["logits"]),
        ]
        model.graph.node[-1].output[0] = "all"
        model.graph.node.extend(more)

    return change


@pytest.mark.parametrize("at_run_time", [False, True])
def test_a_network_that_asks_for_more_memory_than_its_limit_fails_alone(at_run_time: bool, tmp_path: Path) -> None:
    import resource

    folder = with_network(tmp_path / "model", network(big(25_000_000_000, at_run_time), tmp_path))
    recogniser = whoplays.load(folder)
    with pytest.raises(ModelError, match="needs more memory than the 4 GiB"):
        recogniser.predict(np.zeros(30000, dtype=np.float32), sample_rate=22050)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 8 << 20  # KiB
    with pytest.raises(ModelError, match="memory"):
        list(model_check.check(folder))


def outputs(shape: tuple[int, ...], value: float = 1.0) -> Change:
    """Logits of a fixed shape, behind a promise of another."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "all"
        held = helper.make_tensor("v", TensorProto.FLOAT, shape, np.full(shape, value).ravel())
        model.graph.node.append(helper.make_node("Constant", [], ["held"], value=held))
        model.graph.node.append(helper.make_node("Identity", ["held"], ["logits"]))
        model.graph.output[0].type.tensor_type.ClearField("shape")
        for name in ("a", "b"):
            model.graph.output[0].type.tensor_type.shape.dim.add(dim_param=name)

    return change


def test_a_network_that_answers_in_another_shape_than_promised(tmp_path: Path) -> None:
    for shape in ((1, 4), (2, 5)):
        folder = with_network(tmp_path / "model", network(outputs(shape), tmp_path))
        with pytest.raises(ModelError, match=r"shape|names 5 labels"):
            whoplays.load(folder).predict(np.zeros(30000, dtype=np.float32), sample_rate=22050)


def test_a_network_that_answers_no_numbers(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "all"
        model.graph.node.append(helper.make_node("Sub", ["all", "all"], ["zero"]))
        model.graph.node.append(helper.make_node("Div", ["zero", "zero"], ["logits"]))

    folder = with_network(tmp_path / "model", network(change, tmp_path))
    with pytest.raises(ModelError, match="not numbers"):
        whoplays.load(folder).predict(np.zeros(30000, dtype=np.float32), sample_rate=22050)


def edit(folder: Path, **changes: object) -> Path:
    write_tiny_model(folder)
    values = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        inner = values["features"] if name in values["features"] else values
        inner[name] = value
    (folder / "config.json").write_text(json.dumps(values))
    return folder


LABEL = {"id": "a", "parent": None, "en": "a", "pl": "b", "colour": "#123456"}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"format": 3}, "format 3.*pip install -U"),
        ({"format": 1}, "format 1.*train it again"),
        ({"format": True}, "no format number"),
        ({"format": 0}, "no format number"),
        ({"name": "x\n\x1b[2J"}, "printable"),
        ({"name": {"a": 1}}, "wrong kind"),
        ({"labels": [LABEL | {"id": ""}]}, "name is empty"),
        ({"labels": [LABEL | {"colour": "red;}<script>"}]}, "must be #rrggbb"),
        ({"labels": [LABEL | {"parent": "b"}]}, "no family here"),
        ({"labels": [LABEL | {"parent": 5}]}, "wrong kind"),
        ({"labels": [{"id": "a", "en": "a", "pl": "b"}]}, "lacks 'parent'"),
        ({"labels": []}, "0 labels"),
        ({"labels": [LABEL | {"id": str(i)} for i in range(2000)]}, "2000 labels"),
        ({"thresholds": [float("nan")] * 5}, "no number of JSON"),
        ({"window_s": 10**400}, "wrong kind"),
        ({"window_s": 600.0, "hop_length": 1}, "makes more than"),
        ({"window_s": 600.0, "n_time_bins": 100_000}, "makes more than"),
        ({"sample_rate": "22050"}, "sample_rate is '22050', not a whole number"),
        ({"n_fft": 1024.5}, "n_fft is '1024.5', not a whole number"),
        ({"n_mels": True}, "not a whole number"),
        ({"log_offset": 1e300}, "not a finite number"),
        ({"htk": "no"}, "not true or false"),
        ({"sha256": ["model.onnx"]}, "no checksum"),
        ({"sha256": {"model.onnx": "00"}}, "checksum differs"),
        ({"training": 5}, "wrong kind"),
        ({"calibration": {"scale": [1] * 5}}, "lacks 'bias'"),
        ({"timeline": []}, "wrong kind"),
    ],
)
def test_a_hostile_configuration_is_refused(changes: dict, cause: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=cause) as caught:
        whoplays.load(edit(tmp_path / "model", **changes))
    assert str(caught.value).isprintable()


def test_a_configuration_too_large_too_deep_or_no_json(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    for content, cause in (
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe", "not JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b'{"format": 1}' + b" " * (5 << 20), "at most 4,194,304 are read"),
    ):
        (folder / "config.json").write_bytes(content)
        with pytest.raises(ModelError, match=cause):
            whoplays.load(folder)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("name", ["model.onnx", "config.json", "card.md"])
def test_links_pipes_and_folders_are_refused(name: str, tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    content = (folder / name).read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(content)
    for make, cause in (
        (lambda path: path.symlink_to(elsewhere), "is a link"),
        (lambda path: path.symlink_to("/dev/zero"), "is a link"),
        (lambda path: os.mkfifo(path), "is no file"),
        (lambda path: path.mkdir(), "Is a directory"),
    ):
        (folder / name).unlink()
        make(folder / name)
        with pytest.raises(ModelError, match=cause):
            list(model_check.check(folder))
        (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
        (folder / name).write_bytes(content)
    assert len(list(model_check.check(folder))) >= 4


def test_a_network_that_is_changed_after_it_was_checked_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    found = model_folder.read(folder)
    (folder / "model.onnx").write_bytes(network(node("Loop"), tmp_path))
    with pytest.raises(ModelError, match="checksum differs"):
        model_folder.Network(found)


def test_models_check_lists_what_was_verified(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    (folder / "payload.py").write_text("raise SystemExit(3)")
    done = invoke("models", "check", folder)
    printed = done.stdout
    assert done.status == 0
    assert (
        "4 operators of 3 kinds" in printed
        and "not looked at: 'payload.py'" in printed
        and printed.endswith(": good\n")
    )
    (folder / "card.md").write_text("another")
    done = invoke("models", "check", folder, tmp_path / "none")
    printed = done.stderr
    assert done.status == 1
    assert "card.md is not the file" in printed and "none: no such model folder" in printed


def test_nothing_is_imported_from_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "numpy", "whoplays", "socket"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(7)")
    monkeypatch.chdir(tmp_path)
    assert any("predicted" in line for line in model_check.check(model_folder.DEFAULT))
