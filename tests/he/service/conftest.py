import shutil

import httpx
import pytest

from he import Client, Family, prepare
from he.formats.keys import Cost
from he.service import tokens
from he.stages.model import save_model
from he.testing import inputs
from tests.he.service.owners import Parties
from tests.he.service.running import NETWORKS, POLICY, config, hidden, running, write_models


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch):
    """Files of keys at the least cost of a guess; `tests/he/parties/test_keys.py` holds the usual one."""
    monkeypatch.setattr(Cost.__init__, "__defaults__", (14, 1))


@pytest.fixture(scope="package")
def models(tmp_path_factory):
    """A folder of prepared circuits."""
    return write_models(tmp_path_factory.mktemp("served") / "models")


@pytest.fixture(scope="package")
def encrypted_models(tmp_path_factory, models):
    """A model whose weights the server cannot read, and one with plain weights; beside it what its owner keeps."""
    folder = tmp_path_factory.mktemp("encrypted")
    save_model(folder / "owner", NETWORKS["exact"], Family((hidden(),)))
    (folder / "served").mkdir()
    prepare(hidden().public).save(folder / "served/hidden.he")
    shutil.copy(folder / "owner/owner.key", folder / "served/hidden.owner")
    shutil.copy(models / "exact.he", folder / "served/exact.he")
    return folder / "served"


@pytest.fixture(scope="module")
def live(models, tmp_path_factory):
    """A server that permits some clients; what tests need of it."""
    with Live(models, tmp_path_factory.mktemp("live")) as live:
        yield live


class Live:
    """A running server, with the tokens of its clients."""

    def __init__(self, models, folder, expander=None, **limits) -> None:
        self.folder = folder
        names = (
            tokens.Permitted("ann"),
            tokens.Permitted("bob"),
            tokens.Permitted("op", (), operator=True),
            tokens.Permitted("all", operator=True),
        )
        self.tokens = {who.name: tokens.add(folder / "tokens", who) for who in names}
        self.config = config(models, folder / "store", folder / "tokens", **limits)
        self._running = running(self.config, expander)

    def __enter__(self):
        self.server, self.url = self._running.__enter__()
        self.service = self.server.config.app.state.service
        self.http = httpx.Client(base_url=self.url, timeout=30)
        return self

    def __exit__(self, *error) -> None:
        self.http.close()
        self._running.__exit__(*error)

    def ask(self, method, path, who="ann", **options):
        """An answer to a call by a client."""
        headers = {"Content-Type": "application/octet-stream", **options.pop("headers", {})}
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        return self.http.request(method, path, headers=headers, **options)

    def party(self, model="exact", who="ann"):
        """A client with keys that the server has, and the address of its evaluations."""
        client = Client(self.http.get(f"/v1/models/{model}/interface").content, policy=POLICY)
        path = f"/v1/models/{model}/keys/{client.evaluation_keys.id}"
        assert self.ask("PUT", path, who, content=client.evaluation_keys.to_bytes()).status_code == 201
        return client, path

    def answered(self, client, path, model="exact", who="ann"):
        """Whether a new request is answered rightly."""
        images = inputs(NETWORKS[model], 2)
        request = client.encrypt(images)
        answer = self.ask("POST", f"{path}/evaluations", who, content=request)
        assert answer.status_code == 200, answer.text
        logits, due = client.decrypt(answer.content, request), NETWORKS[model].logits(images)
        return bool((abs(logits - due) <= client.interface.tolerance).all())


@pytest.fixture
def parties(encrypted_models, tmp_path):
    with Live(encrypted_models, tmp_path) as live, Parties(live, encrypted_models) as parties:
        yield parties
