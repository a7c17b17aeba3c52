"""Programs in files: the graph of their module, and nothing in them is run."""

import contextlib
import io
import json
import pickle
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from plaintext_models.bridge.from_torch import from_torch
from tests.plaintext_models.bridge.architectures import ZOO, trained


def program(module, *shape, batch=2, free=False):
    sides = ({0: torch.export.Dim("batch", max=1000)},) if free else None
    return torch.export.export(module, (torch.rand(batch, *shape),), dynamic_shapes=sides)


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(32, 3),
        nn.Softmax(1),
    )
    return trained(nn.Sequential(*layers)).eval()


@pytest.fixture(scope="module")
def content(module):
    torch.export.save(program(module, 1, 6, 6, free=True), buffer := io.BytesIO())
    return buffer.getvalue()


def changed(content, change):
    """The bytes of an archive whose parts have gone through a function of name and bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            for key, data in change(name, old.read(name)):
                new.writestr(key, data)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["mobilenet", "mixer", "gelu_mlp"])
@pytest.mark.parametrize("free", [True, False])
def test_a_file_gives_the_graph_of_its_module(name, free, tmp_path):
    torch.manual_seed(0)
    make, shape = ZOO[name]
    module = trained(make()).eval()
    torch.export.save(program(module, *shape, free=free), tmp_path / "m.pt2")
    expected = from_torch(module, torch.rand(1, *shape)).fingerprint
    assert from_torch(tmp_path / "m.pt2").fingerprint == expected
    assert from_torch(str(tmp_path / "m.pt2"), torch.rand(2, *shape)).fingerprint == expected


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_program_of_a_fixed_batch(module, batch):
    exported = program(module, 1, 6, 6, batch=batch)
    assert from_torch(exported).fingerprint == from_torch(module, torch.rand(1, 1, 6, 6)).fingerprint


def test_programs_that_are_refused(module):
    both = torch.export.export(nn.Bilinear(2, 2, 2), (torch.rand(2, 2), torch.rand(2, 2)))
    with pytest.raises(ValueError, match=r"from one tensor to one tensor, got 2 inputs and 1 outputs"):
        from_torch(both)
    with pytest.raises(ValueError, match=r"changes running_mean, .*; export it in evaluation mode"):
        from_torch(torch.export.export(nn.BatchNorm1d(2).train(), (torch.rand(3, 2),)))
    sides = ({2: torch.export.Dim("height", min=4, max=9)},)
    tall = torch.export.export(nn.Conv2d(1, 1, 3), (torch.rand(2, 1, 6, 6),), dynamic_shapes=sides)
    with pytest.raises(ValueError, match="`example` must be given for a program whose images may have several sizes"):
        from_torch(tall)
    assert from_torch(tall, torch.rand(2, 1, 5, 6)).output_shape == (1, 3, 4)
    with pytest.raises(ValueError, match="`example` must have the shape that the program takes"):
        from_torch(tall, torch.rand(2, 1, 5, 7))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def in_config(change):
    def apply(name, data):
        if name.endswith("weights_config.json"):
            config = json.loads(data)
            change(config["config"]["0.weight"])
            data = json.dumps(config).encode()
        return [(name, data)]

    return apply


def in_program(change):
    def apply(name, data):
        if name.endswith("models/model.json"):
            change(document := json.loads(data))
            data = json.dumps(document).encode()
        return [(name, data)]

    return apply


def first(document):
    return document["graph_module"]["graph"]["nodes"][0]


def pickled(name, data):
    bomb = io.BytesIO()
    torch.save(Bomb(), bomb)
    return [(name, bomb.getvalue() if name.endswith("weights/weight_0") else data)]


CODE = "__import__('pytest').fail('evaluated')"
HOSTILE = {
    "a pickled weight": (lambda n, d: in_config(lambda w: w.update(use_pickle=True))(*pickled(n, d)[0]), "a pickled"),
    "a path": (in_config(lambda w: w.update(path_name="../secret")), "a pickled object"),
    "an opaque constant": (in_config(lambda w: w.update(path_name="opaque_obj_0")), "a pickled object"),
    "a huge shape": (in_config(lambda w: w["tensor_meta"].update(sizes=[{"as_int": 1 << 60}])), "fewer than"),
    "an operator": (in_program(lambda p: first(p).update(target="os.system")), "the operator os.system"),
    "a custom operator": (in_program(lambda p: first(p).update(target="torch.ops.mine.f.d")), "the operator torch"),
    "code as a size": (in_program(lambda p: p["graph_module"]["graph"]["sym_int_values"].update(
        s={"as_expr": {"expr_str": CODE, "hint": None}})), "the size __import__"),
    "a subgraph": (in_program(lambda p: first(p)["inputs"][0].update(arg={"as_graph": {}})), "the kind as_graph"),
    "compiled code": (lambda n, d: [(n, d), (n.partition("/")[0] + "/data/aotinductor/model/a.so", b"")], "compiled"),
    "mutation": (in_program(lambda p: p["graph_module"]["signature"]["output_specs"].append(
        {"buffer_mutation": {}})), "of the kind buffer_mutation"),
    "no program": (lambda n, d: [] if n.endswith("model.json") else [(n, d)], "got none"),
    "no weights": (lambda n, d: [] if n.endswith("weight_0") else [(n, d)], "torch.export.save`, got KeyError"),
    "another kind of program": (in_program(dict.clear), "file of `torch.export.save`, got KeyError"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_nothing_in_a_file_is_run(name, content, tmp_path, capfd):
    change, message = HOSTILE[name]
    (tmp_path / "m.pt2").write_bytes(changed(content, change))
    with pytest.raises(ValueError, match=message):
        from_torch(tmp_path / "m.pt2")
    assert capfd.readouterr() == ("", "")


def test_what_torch_would_unpickle_evaluate_or_import_is_left_out(content, module, tmp_path):
    bomb = io.BytesIO()
    torch.save(((Bomb(),), {}), bomb)

    def change(name, data):
        if name.endswith("sample_inputs/model.pt"):
            return [(name, bomb.getvalue())]
        return in_program(lambda p: p.update(guards_code=[CODE]))(name, data)

    (tmp_path / "m.pt2").write_bytes(changed(content, change))
    assert from_torch(tmp_path / "m.pt2").fingerprint == from_torch(module, torch.rand(1, 1, 6, 6)).fingerprint


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"#!/bin/sh", pickle.dumps(Bomb())])
def test_files_of_another_kind(data, tmp_path):
    (tmp_path / "m.pt2").write_bytes(data)
    with pytest.raises(ValueError, match=r"m\.pt2` must be a file of `torch\.export\.save`"):
        from_torch(tmp_path / "m.pt2")
    with pytest.raises(FileNotFoundError):
        from_torch(tmp_path / "absent.pt2")


@settings(max_examples=25)
@given(data=st.data())
def test_damaged_files_are_refused_or_give_a_graph(data, content, tmp_path_factory):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "m.pt2"
    path.write_bytes(damaged)
    with contextlib.suppress(ValueError):
        from_torch(path)
