"""Stages of a network that the server cannot read, and what its owner permits."""

import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from he import Family, MessageError, NotPermittedError, Policy, compile_exact
from he.__main__ import main
from he.parties.model_owner import DAY
from he.parties.permission import Permission
from he.stages import client, owner, server
from he.stages.folders import StageError
from he.stages.model import save_model
from he.testing import inputs, table_network
from tests.he.stages.test_stages import tree

POLICY = Policy(security="insecure")
NETWORK = table_network()
IMAGES = inputs(NETWORK, 6)
OTHERS = '{"permitted": [], "revoked": ["x"], "next": 0, "least": 0}'


def made(path):
    """A model whose weights are to be encrypted, prepared by a server that has no more of it than it may have."""
    circuit = compile_exact(NETWORK, images=4, security="insecure", weights="encrypted")
    save_model(path / "model", NETWORK, Family((circuit,)))
    (path / "server").mkdir()
    for name in ("offer", "owner.key", "0.public"):
        shutil.copy(path / "model" / name, path / "server" / name)
    server.prepare(path / "server", 1)
    np.save(path / "images.npy", IMAGES)
    return path


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    """The folders of a model, of its server, and of an exchange in which a key is permitted; the key's name."""
    path = made(tmp_path_factory.mktemp("parties"))
    name = client.keygen(path / "io", path / "server", 1, POLICY)
    owner.issue(path / "io", path / "model", name, days=2)
    return path, name


@pytest.fixture
def copy(parties, tmp_path):
    """A copy of all of it."""
    return Path(shutil.copytree(parties[0], tmp_path, dirs_exist_ok=True)), parties[1]


def predicted(path, **again):
    client.encrypt(path / "io", path / "server", path / "images.npy", POLICY, **again)
    server.evaluate(path / "io", path / "server", 1, **again)
    return client.decrypt(path / "io", path / "server", path / "logits.npy", POLICY)


def test_three_parties_answer_what_the_network_does(copy):
    path, _ = copy
    for again in (False, True):
        assert np.array_equal(predicted(path, again=again), NETWORK.logits(IMAGES))
    verification = (path / "server/owner.key").read_bytes()
    permission = Permission.from_bytes((path / "io/permission").read_bytes(), verification)
    assert permission.number == 0
    days = (permission.expires - (path / "io/permission").stat().st_mtime) / DAY
    assert 1.9 < days < 2.1


def test_what_is_the_owner_s_alone_is_for_nobody_else(parties):
    path, _ = parties
    for folder, names in (("model/issuing", {"seed", "state"}), ("io/encrypted_network", {"network"})):
        assert stat.S_IMODE((path / folder).stat().st_mode) == 0o700
        assert {file.name for file in (path / folder).iterdir()} == names
    assert {stat.S_IMODE(file.stat().st_mode) for file in (path / "model/issuing").iterdir()} == {0o600}


def test_who_is_not_permitted_gets_no_network(parties, tmp_path):
    path, name = parties
    stranger = client.keygen(tmp_path / "io", path / "server", 1, POLICY)
    assert stranger != name
    before = tree(path / "model")
    for permit in (None, name):
        with pytest.raises(NotPermittedError, match="not among those"):
            owner.issue(tmp_path / "io", path / "model", permit)
    assert tree(path / "model") == before
    assert [file.name for file in (tmp_path / "io").iterdir() if file.name not in ("public_keys", "secret_key")] == []
    with pytest.raises(StageError, match="which the stage `issue` makes"):
        client.encrypt(tmp_path / "io", path / "server", path / "images.npy", POLICY)
    for part in ("permission", "encrypted_network"):  # those of the key that is permitted
        (shutil.copytree if (path / "io" / part).is_dir() else shutil.copy)(path / "io" / part, tmp_path / "io" / part)
    with pytest.raises(NotPermittedError, match="for another key"):
        client.encrypt(tmp_path / "io", path / "server", path / "images.npy", POLICY)
    shutil.copytree(path / "io/public_keys", tmp_path / "io/ciphertexts_upload")  # anything
    with pytest.raises(NotPermittedError, match="for another key"):
        server.evaluate(tmp_path / "io", path / "server", 1)


def test_what_is_revoked_is_issued_anew_for_others(copy, tmp_path):
    path, name = copy
    client.encrypt(path / "io", path / "server", path / "images.npy", POLICY)
    other = client.keygen(tmp_path / "other/io", path / "server", 1, POLICY)
    owner.issue(tmp_path / "other/io", path / "model", other)
    owner.revoke(path / "io", path / "model", name)
    for stage in (
        lambda: client.encrypt(path / "io", path / "server", path / "images.npy", POLICY, again=True),
        lambda: server.evaluate(path / "io", path / "server", 1),
    ):
        with pytest.raises(NotPermittedError, match="has been revoked"):
            stage()
    with pytest.raises(NotPermittedError, match="not among those"):
        owner.issue(path / "io", path / "model", again=True)
    assert json.loads((path / "model/issuing/state").read_text()) == {
        "permitted": [other],
        "revoked": [name],
        "next": 2,
        "least": 2,
    }
    for part in ("images.npy", "server"):
        (tmp_path / "other" / part).symlink_to(path / part)
    shutil.copy(path / "io/revocation", tmp_path / "other/io/revocation")
    with pytest.raises(NotPermittedError, match="has been revoked"):
        predicted(tmp_path / "other")
    owner.issue(tmp_path / "other/io", path / "model", again=True)
    revocation = (path / "io/revocation").read_bytes()
    owner.revoke(tmp_path / "later", path / "model", name)  # for another exchange: nothing more is revoked
    assert (tmp_path / "later/revocation").read_bytes() == revocation
    assert np.array_equal(predicted(tmp_path / "other"), NETWORK.logits(IMAGES))


def test_files_of_other_parties_are_refused(copy, tmp_path):
    path, _ = copy
    with pytest.raises(StageError, match="must not be there"):
        owner.issue(path / "io", path / "model")
    foreign = made(tmp_path / "foreign")
    with pytest.raises(MessageError, match="another circuit"):
        owner.issue(path / "io", foreign / "model", again=True)
    shutil.copy(foreign / "server/owner.key", path / "server/owner.key")
    with pytest.raises(NotPermittedError, match="has not signed"):
        client.encrypt(path / "io", path / "server", path / "images.npy", POLICY)
    for state in ("{}", "[]", '{"permitted": ["x"], "revoked": [], "next": 0, "least": 0}', OTHERS):
        (path / "model/issuing/state").write_text(state)
        with pytest.raises(StageError, match=r"as its owner has left it, .* restore it from a copy that is as new"):
            owner.issue(path / "io", path / "model", again=True)
    assert (path / "io/encrypted_network/network").exists()


def test_an_owner_goes_on_from_a_state_that_does_not_say_what_was_revoked(copy):
    path, _ = copy
    file = path / "model/issuing/state"
    state = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in state.items() if name != "revoked"}))
    owner.issue(path / "io", path / "model", again=True)
    assert json.loads(file.read_text()) == {**state, "next": state["next"] + 1}


@pytest.mark.parametrize("days", ["0", "-1", "inf", "nan", "1e300"])
def test_a_permission_lasts_for_a_while(parties, days, capsys):
    path, _ = parties
    arguments = ["--dir", str(path / "io"), "--model", str(path / "model"), "--again", "--days", days]
    assert main(["stage", "issue", *arguments]) == 1
    assert "`days` must be" in capsys.readouterr().err


def test_the_commands(tmp_path, capsys):
    circuit = compile_exact(NETWORK, images=8, weights="encrypted", salt=bytes(32))
    save_model(tmp_path / "model", NETWORK, Family((circuit,)))
    np.save(tmp_path / "images.npy", IMAGES)

    def run(stage, *more):
        main(["stage", stage, "--dir", str(tmp_path), *more])
        return "".join(capsys.readouterr())

    name = run("keygen").split()[-1]
    assert "not permitted" in run("issue")
    for stage in (["issue", "--permit", name], ["prepare"], ["encrypt"], ["evaluate"], ["decrypt"]):
        assert run(*stage) == ""
    assert np.array_equal(np.load(tmp_path / "logits.npy"), NETWORK.logits(IMAGES))
    assert run("revoke", name) == ""
    assert "has been revoked" in run("encrypt", "--again")
