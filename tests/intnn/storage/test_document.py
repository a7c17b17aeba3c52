import io
import json
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Dense, FormatError, Graph, IntDomain, IntNetwork, Lut, LutActivation, Requantise
from intnn.storage import document as storage
from intnn.testing import float_graphs, int_networks, save_and_load

SUFFIXES = pytest.mark.parametrize("suffix", [".npz", ".json"])
NETWORK = IntNetwork(
    (2,),
    IntDomain(0, 1),
    (Dense(np.array([[1, -2], [3, 4]]), np.array([0, 1])), LutActivation(Lut(IntDomain(-2, 8), np.arange(11), "f"))),
    2.5,
    "small",
    {"seed": 1},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("storage")


def encoded(value, folder, suffix):
    path = folder / f"value{suffix}"
    value.save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def originals(folder):
    return {suffix: encoded(NETWORK, folder, suffix) for suffix in (".npz", ".json")}


def load(data, folder, suffix, kind=IntNetwork):
    path = folder / f"read{suffix}"
    path.write_bytes(data)
    return kind.load(path)


@SUFFIXES
@settings(max_examples=30)
@given(value=int_networks() | float_graphs())
def test_what_was_saved_comes_back(value, suffix, folder):
    save_and_load(value, folder)
    data = encoded(value, folder, suffix)
    back = load(data, folder, suffix, type(value))
    assert back.fingerprint == value.fingerprint
    assert (back.name, back.metadata, back.input_shape) == (value.name, value.metadata, value.input_shape)
    assert encoded(back, folder, suffix) == data
    nodes = lambda v: v.nodes if isinstance(v, Graph) else v.layers  # noqa: E731
    for ours, theirs in zip(nodes(back), nodes(value), strict=True):
        assert type(ours) is type(theirs)
        for name in ("weight", "bias", "multiplier"):
            if hasattr(ours, name):
                assert np.array_equal(getattr(ours, name), getattr(theirs, name))
                assert getattr(ours, name).dtype == getattr(theirs, name).dtype
        if isinstance(ours, Requantise):
            assert (ours.shift, ours.domain) == (theirs.shift, theirs.domain)
        elif not hasattr(ours, "weight"):
            assert ours == theirs
    if isinstance(value, IntNetwork):
        assert (back.input_domain, back.input_scale) == (value.input_domain, value.input_scale)


def refused_or_equal(data, folder, suffix):
    try:
        network = load(data, folder, suffix)
    except FormatError:
        return
    assert network.fingerprint == NETWORK.fingerprint


@SUFFIXES
@settings(max_examples=400)
@given(data=st.data())
def test_a_flipped_byte_is_refused_or_harmless(suffix, data, folder, originals):
    original = originals[suffix]
    corrupt = bytearray(original)
    corrupt[data.draw(st.integers(0, len(original) - 1))] ^= data.draw(st.integers(1, 255))
    refused_or_equal(bytes(corrupt), folder, suffix)


@SUFFIXES
@settings(max_examples=100)
@given(data=st.data())
def test_a_truncated_file_is_refused(suffix, data, folder, originals):
    original = originals[suffix]
    with pytest.raises(FormatError):
        load(original[: data.draw(st.integers(0, len(original) - 1))], folder, suffix)


@SUFFIXES
@given(data=st.binary(max_size=100))
def test_foreign_bytes_are_refused(suffix, data, folder):
    with pytest.raises(FormatError):
        load(data, folder, suffix)


def altered(folder, **changes):
    """The JSON file with some fields replaced; None removes one."""
    document = json.loads(encoded(NETWORK, folder, ".json"))
    for field, value in changes.items():
        *parents, last = field.split("__")
        place = document
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        last = int(last) if last.isdigit() else last
        if value is None:
            del place[last]
        else:
            place[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"format": "onnx"}, "format"),
        ({"version": 2}, "version"),
        ({"version": True}, "version"),
        ({"kind": "Graph"}, "kind"),
        ({"content": []}, "content"),
        ({"arrays": []}, "arrays"),
        ({"data": None}, "data"),
        ({"data": {}}, "data"),
        ({"sha256": "0" * 64}, "sha256"),
        ({"name": 1, "content__name": "other"}, "sha256"),
        ({"content__input_scale": 2.0}, "sha256"),
        ({"data__nodes.0.bias": [0, 2]}, "sha256"),
        ({"data__nodes.0.bias": [0]}, "nodes.0.bias"),
        ({"data__nodes.0.bias": [0, 1.0]}, "nodes.0.bias"),
        ({"data__nodes.0.bias": [0, True]}, "nodes.0.bias"),
        ({"data__nodes.0.bias": [0, 2**63]}, "nodes.0.bias"),
        ({"arrays__nodes.0.bias__dtype": "object"}, "arrays.nodes.0.bias.dtype"),
        ({"arrays__nodes.0.bias__shape": [-2]}, "arrays.nodes.0.bias.shape"),
        ({"arrays__nodes.0.bias__shape": [1 << 40]}, "arrays.nodes.0.bias.shape"),
        ({"arrays__nodes.0.bias__shape": [2] + [1] * 40}, "arrays.nodes.0.bias.shape"),
    ],
)
def test_the_error_names_the_field(changes, field, folder):
    with pytest.raises(FormatError) as caught:
        load(altered(folder, **changes), folder, ".json")
    assert caught.value.field == field


def forged(folder, **changes):
    """As `altered`, with a hash that fits: what an adversary would write."""
    document = json.loads(altered(folder, **changes))
    arrays = {name: np.array(document["data"][name]).reshape(a["shape"]) for name, a in document["arrays"].items()}
    storage.write(storage.Document("IntNetwork", document["content"], arrays), folder / "forged.json")
    return (folder / "forged.json").read_bytes()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"content__nodes": "all"}, "content.nodes"),
        ({"content__nodes__0__type": "Lambda"}, "content.nodes[0]"),
        ({"content__nodes__0": {}}, "content.nodes[0].type"),
        ({"content__nodes__0": 7}, "content.nodes[0]"),
        ({"content__nodes__0__colour": "red"}, "content.nodes[0]"),
        ({"content__nodes__1__lo": None}, "content.nodes[1].lo"),
        ({"content__nodes__1__hi": 7}, "content.nodes[1]"),
        ({"content__nodes__1__hi": 1 << 60}, "content.nodes[1]"),
        ({"content__input_domain": None}, "content.input_domain"),
        ({"content__input_domain": [0, 9, 7]}, "content"),
        ({"content__input_domain": [0, 1000, 0]}, "content"),
        ({"content__input_shape": [1 << 50]}, "content"),
        ({"content__input_shape": 2}, "content"),
        ({"content__input_scale": 10**400}, "content"),
        ({"content__name": 5}, "content"),
        ({"content__metadata": 5}, "content"),
        ({"content__layers": []}, "content"),
        ({"data__stray": [1], "arrays__stray": {"dtype": "int64", "shape": [1]}}, "arrays.stray"),
    ],
)  # fmt: skip
def test_a_description_of_something_impossible_is_refused_even_with_the_right_hash(changes, field, folder):
    with pytest.raises(FormatError) as caught:
        load(forged(folder, **changes), folder, ".json")
    assert caught.value.field == field
    try:
        raise OSError("another file is missing")
    except OSError:  # of what is being handled, an error says nothing else
        with pytest.raises(FormatError) as again:
            load(forged(folder, **changes), folder, ".json")
    assert str(again.value) == str(caught.value)


def archive(folder, **members):
    """The .npz file with some members replaced; None removes one."""
    buffer = io.BytesIO(encoded(NETWORK, folder, ".npz"))
    with zipfile.ZipFile(buffer) as source:
        contents = {entry.filename: source.read(entry) for entry in source.infolist()}
    contents.update({f"{name.replace('__', '.')}.npy": data for name, data in members.items()})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in contents.items():
            if data is not None:
                target.writestr(name, data)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"header": None}, "header"),
        ({"header": npy(np.zeros(3))}, "header"),
        ({"nodes__0__bias": None}, "file"),
        ({"extra": b""}, "file"),
        ({"nodes__0__bias": npy(np.zeros(2, np.int32))}, "nodes.0.bias"),
        ({"nodes__0__bias": npy(np.array([0, 1, 2]))}, "nodes.0.bias"),
        ({"nodes__0__bias": npy(np.array([0, None]))}, "nodes.0.bias"),
        ({"nodes__0__bias": bytes(1 << 24)}, "nodes.0.bias"),
        ({"header": bytes(storage.MAX_HEADER_BYTES + 1)}, "header"),
    ],
)
def test_archives_with_other_members_are_refused(members, field, folder):
    with pytest.raises(FormatError) as caught:
        load(archive(folder, **members), folder, ".npz")
    assert caught.value.field == field


def test_a_member_is_not_unpacked_beyond_what_its_header_announces(folder):
    """128 MiB of zeros in 128 KiB of file, read in 64 MiB of memory."""
    bomb = archive(folder, nodes__0__bias=bytes(1 << 27))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 26), hard))
    try:
        with pytest.raises(FormatError, match=r"`nodes\.0\.bias` must have at most 144 bytes, got more"):
            load(bomb, folder, ".npz")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_other_compression_methods_are_refused(folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as target:
        target.writestr("header.npy", b"")
    with pytest.raises(FormatError, match="must be stored or deflated"):
        load(buffer.getvalue(), folder, ".npz")


def test_an_archive_is_one_that_numpy_reads(folder):
    NETWORK.save(folder / "plain.npz")
    with np.load(folder / "plain.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["nodes.0.weight"], NETWORK.layers[0].weight)
        assert json.loads(arrays["header"].tobytes())["kind"] == "IntNetwork"


@pytest.mark.parametrize("name", ["network", "network.pickle", "network.npy"])
def test_other_suffixes_are_refused_before_anything_is_written(name, folder):
    with pytest.raises(ValueError, match=r"`path` must end in .npz or .json, got"):
        NETWORK.save(folder / name)
    assert not (folder / name).exists()
    with pytest.raises(ValueError, match=r"`path` must end in .npz or .json, got"):
        IntNetwork.load(folder / name)


def test_a_missing_file_is_an_os_error(folder):
    with pytest.raises(FileNotFoundError):
        IntNetwork.load(folder / "absent.npz")


@SUFFIXES
def test_a_write_that_fails_leaves_the_old_file(suffix, tmp_path):
    path = tmp_path / f"network{suffix}"
    NETWORK.save(path)
    noise = np.random.default_rng(0).integers(-9, 9, (512, 2))
    large = IntNetwork((2,), IntDomain(0, 1), (Dense(noise, noise[:, 0]),))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))  # a full disk, for this process
    try:
        with pytest.raises(OSError, match=f"too large: .*network{suffix}"):
            large.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert IntNetwork.load(path).fingerprint == NETWORK.fingerprint


def test_saving_twice_gives_the_same_bytes(folder):
    assert encoded(NETWORK, folder, ".npz") == encoded(NETWORK, folder, ".npz")


@given(int_networks(), int_networks())
@settings(max_examples=30)
def test_fingerprints_tell_networks_apart(a, b):
    same = a.fingerprint == b.fingerprint
    described = [storage.Document.header(v._document())["content"] for v in (a, b)]
    arrays = [{k: v.tolist() for k, v in network._document().arrays.items()} for network in (a, b)]
    assert same == (described[0] == described[1] and arrays[0] == arrays[1])


@SUFFIXES
@pytest.mark.parametrize("limit", ["MAX_ARRAY_BYTES", "MAX_FILE_BYTES", "MAX_HEADER_BYTES"])
def test_nothing_is_written_that_would_not_be_read(limit, suffix, tmp_path, monkeypatch):
    """At every size, writer and reader agree: what the one takes the other takes."""
    network = IntNetwork((2,), IntDomain(0, 1), NETWORK.layers, metadata={"note": "n" * 500})
    outcomes = set()
    for size in (0, 100, 200, 400, 800, 1600, 3200, 6400):
        monkeypatch.setattr(storage, limit, size)
        path = tmp_path / f"{size}{suffix}"
        try:
            network.save(path)
        except FormatError:
            outcomes.add("refused")
            assert not path.exists()
        else:
            assert IntNetwork.load(path).fingerprint == network.fingerprint
            outcomes.add("written")
    assert outcomes == ({"written"} if (limit, suffix) == ("MAX_HEADER_BYTES", ".json") else {"refused", "written"})
