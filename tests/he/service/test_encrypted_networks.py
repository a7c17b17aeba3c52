"""Models whose weights the server cannot read: who is permitted, how long, and what is revoked."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from he import ModelOwner, NotPermittedError, compile_exact, prepare
from he.__main__ import main
from he.service.conversation import ServiceError
from he.service.models import load
from he.stages.owner import issued
from tests.he.service.conftest import Live
from tests.he.service.owners import IMAGES, NETWORK, Parties, is_right, refused
from tests.he.service.running import hidden

OTHER = compile_exact(NETWORK, weights="encrypted", images=4, security="insecure", salt=bytes(range(32)))


def test_a_client_is_answered_for_whose_key_the_network_was_issued(parties):
    one, network = parties.client()
    with pytest.raises(ServiceError, match="has issued no network"):
        one.predict(IMAGES)
    assert refused(parties.client()[0]) == 403
    parties.sends.publish(network)
    parties.sends.publish(network)  # as one whose answer was lost does
    assert is_right(one)
    other, its = parties.client()
    assert refused(other) == 403  # what was issued is for another key
    parties.sends.publish(its)
    assert is_right(other)
    assert is_right(one)


def test_a_client_verifies_what_the_owner_has_signed(parties):
    one, network = parties.client()
    parties.sends.publish(network)
    for owner, reason in ((None, "must be given `owner`"), (ModelOwner(hidden()).verification_key, "has not signed")):
        one._talk._owner = owner
        with pytest.raises(NotPermittedError, match=reason):
            one.predict(IMAGES)


def test_what_the_owner_has_not_issued_for_this_model_is_refused(parties):
    one, network = parties.client()
    public, seed = one.client.public_key, parties.owner.signing_seed
    impostor = ModelOwner(hidden(), [public.id]).issue(public).to_bytes()
    with pytest.raises(ServiceError, match=r"403.*has not signed"):
        parties.sends.publish(impostor)
    with pytest.raises(ServiceError, match="422"):
        parties.sends.publish(public.to_bytes())
    with pytest.raises(ServiceError, match=r"404.*weights are plain"):
        parties.sending("exact").publish(network)
    for theirs in (ModelOwner(hidden()), ModelOwner(OTHER, signing_seed=seed)):
        with pytest.raises(ServiceError, match="403"):
            parties.sends.revoke(theirs.revocation)
    assert refused(one) == 403
    assert not list((parties.live.folder / "store/networks").iterdir())
    assert not list((parties.live.folder / "store/uploads").iterdir())
    for method, path in (("GET", "permission"), ("PUT", "revocation")):
        where = f"/v1/models/hidden/keys/{one.client.evaluation_keys.id}/{path}"
        where = where if method == "GET" else "/v1/models/hidden/revocation"
        assert parties.live.ask(method, where, who=None, content=b"").status_code == 401
        assert parties.live.ask(method, where, who="op", content=b"").status_code == 403
    stranger = f"/v1/models/hidden/keys/{one.client.evaluation_keys.id}/permission"
    assert parties.live.ask("GET", stranger, who="bob").status_code == 404


def test_what_is_revoked_stays_refused_after_a_restart(encrypted_models, tmp_path):
    with Live(encrypted_models, tmp_path) as live, Parties(live, encrypted_models) as parties:
        (one, network), (other, its) = parties.client(), parties.client()
        for each in (network, its):
            parties.sends.publish(each)
        assert is_right(one)
        assert is_right(other)
        before = parties.owner.revocation
        assert live.http.get("/v1/models/hidden/revocation").status_code == 404
        parties.sends.revoke(parties.owner.revoke(one.client.public_key.id))
        parties.sends.revoke(before)  # an older one takes nothing back
        assert live.http.get("/v1/models/hidden/revocation").content == parties.owner.revocation
        assert [refused(each) for each in (one, other)] == [403, 403]
        with pytest.raises(ServiceError, match=r"403.*has been revoked"):
            parties.sends.publish(network)
        renewed = parties.owner.issue(other.client.public_key).to_bytes()
        parties.sends.publish(renewed)
        with pytest.raises(ServiceError, match=r"403|409"):
            parties.sends.publish(its)  # which was issued before
        assert is_right(other)
        keys = [
            {"secret_key": each.client.secret_key, "evaluation_keys": each.client.evaluation_keys}
            for each in (one, other)
        ]
    with Live(encrypted_models, tmp_path) as live, Parties(live, encrypted_models) as parties:
        assert refused(parties.remote(**keys[0])) == 403
        assert is_right(parties.remote(**keys[1]))


def test_a_network_in_use_is_replaced_by_a_newer_one(parties):
    one, old = parties.client()
    new = parties.owner.issue(one.client.public_key).to_bytes()
    parties.sends.publish(old)
    assert is_right(one)
    parties.sends.publish(new)
    assert is_right(one)
    with pytest.raises(ServiceError, match=r"409.*newer"):
        parties.sends.publish(old)


def test_permissions_expire_by_the_server_s_clock(parties):
    one, network = parties.client()
    parties.sends.publish(network)
    assert is_right(one)
    for session in parties.live.service._sessions._ready.values():
        session._admission._clock = lambda: 2.0**50
    assert refused(one) == 403


def test_so_many_networks_are_kept_ready(encrypted_models, tmp_path):
    with Live(encrypted_models, tmp_path, networks=1) as live, Parties(live, encrypted_models) as parties:
        each = [parties.client() for _ in range(2)]
        for _, network in each:
            parties.sends.publish(network)
        for _ in range(2):
            assert all(is_right(one) for one, _ in each)
            assert len(live.service._sessions._ready) == 1


def test_the_commands(parties, encrypted_models, tmp_path, monkeypatch, capsys):
    live, folder = parties.live, Path(shutil.copytree(encrypted_models.parent / "owner", tmp_path / "owner"))
    monkeypatch.setenv("HE_PASSWORD", "nobody guesses it")
    monkeypatch.setenv("HE_TOKEN", live.tokens["ann"])
    key, images = str(tmp_path / "key"), str(tmp_path / "images.npy")
    np.save(images, IMAGES)
    about = [live.url, "hidden", "--key", key, "--security", "insecure"]
    owners = [live.url, "hidden", "--from", str(folder)]
    predict = ["predict", *about, images, "--owner", str(folder / "owner.key")]

    def told(command):
        with pytest.raises(SystemExit):
            main(command)
        return capsys.readouterr().err

    assert main(["keygen", *about]) == 0
    name = capsys.readouterr().out.split()[-1]
    assert "has issued no network" in told(predict)
    issue = ["issue", *owners, "--public-key", f"{key}.public"]
    assert "not permitted" in told(issue)
    assert main([*issue, "--permit", name]) == 0
    assert main([*predict, "--out", str(tmp_path / "logits.npy")]) == 0
    assert np.array_equal(np.load(tmp_path / "logits.npy"), NETWORK.logits(IMAGES))
    assert "must be given `owner`" in told(predict[:-2])
    assert main(["revoke", *owners, name]) == 0
    assert "has been revoked" in told(predict)
    assert "not among those" in told(issue)


def test_a_revocation_that_did_not_arrive_is_sent_again(parties, encrypted_models, tmp_path, monkeypatch, capsys):
    live, folder = parties.live, shutil.copytree(encrypted_models.parent / "owner", tmp_path / "owner")
    one, network = parties.client()
    parties.sends.publish(network)
    name = one.client.public_key.id
    issued(folder, one.client.public_key.to_bytes(), name)
    monkeypatch.setenv("HE_TOKEN", "anothers")
    command = ["revoke", live.url, "hidden", "--from", str(folder), name]
    with pytest.raises(SystemExit):
        main(command)
    assert "refused (401)" in capsys.readouterr().err
    assert is_right(one)
    monkeypatch.setenv("HE_TOKEN", live.tokens["bob"])
    for _ in range(2):
        assert main(command) == 0
        assert refused(one) == 403
    with pytest.raises(SystemExit):
        main([*command[:-1], "0" * 64])
    assert "not among those" in capsys.readouterr().err


@pytest.mark.parametrize("owner", [None, b"", b"x" * 31])
def test_a_model_is_served_with_its_owner_s_key(encrypted_models, owner, tmp_path, capsys):
    shutil.copy(encrypted_models / "hidden.he", tmp_path / "hidden.he")
    if owner is not None:
        (tmp_path / "hidden.owner").write_bytes(owner)
    with pytest.raises(SystemExit):
        main(["serve", "--models", str(tmp_path), "--store", str(tmp_path / "store"), "--port", "0"])
    assert "hidden.owner" in capsys.readouterr().err


def test_a_circuit_of_two_owners_is_not_served(encrypted_models, tmp_path):
    shutil.copytree(encrypted_models, tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "hidden.he", tmp_path / "same.he")
    shutil.copy(tmp_path / "hidden.owner", tmp_path / "same.owner")
    assert {"hidden", "same"} <= {*load(tmp_path)}
    (tmp_path / "same.owner").write_bytes(ModelOwner(hidden()).verification_key)
    with pytest.raises(ValueError, match="must have one owner"):
        load(tmp_path)


def test_a_key_of_two_owners_is_not_served(tmp_path, capsys):
    circuit = compile_exact(NETWORK, weights="encrypted", threshold=40, security="insecure")
    prepare(circuit.public).save(tmp_path / "shared.he")
    with pytest.raises(SystemExit):
        main(["serve", "--models", str(tmp_path), "--store", str(tmp_path / "store"), "--port", "0"])
    assert "keys of one owner" in capsys.readouterr().err
