"""The files of networks that a server cannot read: their room, and what is lost, damaged, or another version's."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from he import ModelOwner
from he.parties.encrypted_network import EncryptedNetwork, network_digest
from he.parties.permission import Permission
from he.service.conversation import ServiceError
from he.service.logs import LOGGER
from he.service.service import Service
from he.service.store import StoreError
from tests.he.service.conftest import Live
from tests.he.service.owners import IMAGES, Parties, is_right, refused
from tests.he.service.running import hidden


def test_networks_take_room(encrypted_models, tmp_path):
    with Live(encrypted_models, tmp_path) as live, Parties(live, encrypted_models) as parties:
        _, network = parties.client()
        parties.sends.publish(network)
        kept = live.service.store.bytes + live.service.networks.size
        assert live.service.networks.size == len(network)
    (tmp_path / "less").mkdir()
    shutil.copytree(tmp_path / "store", tmp_path / "less/store")
    less = Live(encrypted_models, tmp_path / "less", store_bytes=kept + 10)
    with less, Parties(less, encrypted_models) as parties, pytest.raises(ServiceError, match="507"):
        parties.sends.publish(network)


def test_networks_that_permit_nothing_any_more_take_no_room(parties):
    networks = parties.live.service.networks
    (one, revoked), (other, _) = parties.client(), parties.client()
    parties.sends.publish(revoked)
    parties.sends.revoke(parties.owner.revoke(one.client.public_key.id))
    network = parties.owner.issue(other.client.public_key).to_bytes()
    parties.sends.publish(network)
    assert networks.size == len(network)
    assert is_right(other)
    for path, permission in networks._permissions.items():
        networks._permissions[path] = replace(permission, expires=0)
    parties.remote().send_keys()
    assert networks.size == 0
    assert refused(other) == 403


def test_networks_of_models_that_are_gone_take_no_room_and_stay_revoked(encrypted_models, tmp_path):
    with Live(encrypted_models, tmp_path) as live, Parties(live, encrypted_models) as parties:
        one, network = parties.client()
        parties.sends.publish(network)
        parties.sends.revoke(parties.owner.revoke(one.client.public_key.id))
    (tmp_path / "models").mkdir()
    shutil.copy(encrypted_models / "exact.he", tmp_path / "models/exact.he")
    with Live(tmp_path / "models", tmp_path):
        assert [path.suffix for path in (tmp_path / "store/networks").iterdir()] == [".revoked"]
    again = Live(encrypted_models, tmp_path)
    with again, Parties(again, encrypted_models) as parties, pytest.raises(ServiceError, match=r"403.*been revoked"):
        parties.sends.publish(network)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_network_whose_file_is_lost_or_damaged_is_issued_again(parties, damage):
    one, network = parties.client()
    parties.sends.publish(network)
    (path,) = (parties.live.folder / "store/networks").iterdir()
    damage(path)
    with pytest.raises(ServiceError, match=r"403.*lost or unusable"):
        one.predict(IMAGES)
    assert parties.live.service.networks.size == 0
    assert parties.live.service.store.count == 1  # the client's keys are not to blame
    parties.sends.publish(network)
    assert is_right(one)


def _of_another_version(data):
    return b"HEINF2" + data[6:]


@pytest.mark.parametrize(
    ("change", "reason"), [(_of_another_version, "another version"), (lambda data: data[:-1], "damaged")]
)
def test_a_network_that_cannot_be_read_is_kept_for_whoever_can(encrypted_models, tmp_path, change, reason, caplog):
    with Live(encrypted_models, tmp_path) as live, Parties(live, encrypted_models) as parties:
        _, network = parties.client()
        parties.sends.publish(network)
    (path,) = (tmp_path / "store/networks").iterdir()
    key = path.suffix[1:]
    path.write_bytes(change(network))
    with caplog.at_level("WARNING", LOGGER.name), Live(encrypted_models, tmp_path) as live:
        (line,) = [record for record in caplog.records if record.getMessage() == "unreadable"]
        assert line.fields == {"network": path.name, "reason": reason}
        assert live.service.networks.size == len(change(network))
        assert path.read_bytes() == change(network)
        assert live.service.networks.permission(live.service.model("hidden"), key) is None
    path.write_bytes(network)  # as if the server that wrote it were back
    with Live(encrypted_models, tmp_path) as live:
        assert live.service.networks.permission(live.service.model("hidden"), key) is not None


def test_a_network_takes_the_place_of_one_that_cannot_be_read(encrypted_models, tmp_path):
    with Live(encrypted_models, tmp_path) as live, Parties(live, encrypted_models) as parties:
        _, network = parties.client()
        parties.sends.publish(network)
    (path,) = (tmp_path / "store/networks").iterdir()
    path.write_bytes(_of_another_version(network))
    with Live(encrypted_models, tmp_path) as live, Parties(live, encrypted_models) as parties:
        parties.sends.publish(network)
        assert path.read_bytes() == network
        assert live.service.networks.size == len(network)


def test_a_network_of_another_owner_is_kept(encrypted_models, tmp_path):
    """As where the wrong key lay beside the model."""
    with Live(encrypted_models, tmp_path) as live, Parties(live, encrypted_models) as parties:
        _, network = parties.client()
        parties.sends.publish(network)
    models = Path(shutil.copytree(encrypted_models, tmp_path / "models"))
    (models / "hidden.owner").write_bytes(ModelOwner(hidden()).verification_key)
    with Live(models, tmp_path) as live:
        assert live.service.networks.size == len(network)
    (path,) = (tmp_path / "store/networks").iterdir()
    assert path.read_bytes() == network


def test_a_network_that_its_owner_has_made_unusable_is_not_read_again(parties):
    one, network = parties.client()
    its = EncryptedNetwork.from_bytes(network, hidden(), parties.key)
    parts = [b"\xff" * len(part) for part in its.ciphertexts]
    fields = {**its.permission._fields(), "network": network_digest(parts)}
    lie = EncryptedNetwork(Permission.signed(parties.owner._signer, **fields), parts)
    parties.sends.publish(lie.to_bytes())
    with pytest.raises(ServiceError, match=r"403.*lost or unusable"):
        one.predict(IMAGES)
    assert not list((parties.live.folder / "store/networks").iterdir())


def test_a_revocation_that_is_damaged_is_not_forgotten(encrypted_models, tmp_path):
    with Live(encrypted_models, tmp_path) as live, Parties(live, encrypted_models) as parties:
        one, network = parties.client()
        parties.sends.publish(network)
        parties.sends.revoke(parties.owner.revoke(one.client.public_key.id))
        newest = parties.owner.revocation
    (path,) = (tmp_path / "store/networks").glob("*.revoked")
    path.write_bytes(newest[:-1])
    with pytest.raises(StoreError, match="put the newest revocation"):
        Service(live.config)
    path.write_bytes(b"HEINF2" + newest[6:])
    with pytest.raises(
        StoreError, match=r"of another version \(.*; have the model's owner sign it again\); put the newest"
    ):
        Service(live.config)
    assert len(list(path.parent.iterdir())) == 2  # an encrypted network is there for who goes back to that version
    path.write_bytes(newest)
    with Live(encrypted_models, tmp_path) as live:
        assert live.http.get("/v1/models/hidden/revocation").content == newest
        assert live.service.networks.size == 0
