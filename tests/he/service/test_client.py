"""The client: what it asks again, what it encrypts anew, and what it gives up."""

import asyncio
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import httpx
import numpy as np
import pytest

from he import (
    Client,
    DecryptionError,
    InputError,
    MessageError,
    Policy,
    PolicyError,
    SecretKey,
    compile_exact,
    prepare,
)
from he.service.client import AsyncRemoteFamily, AsyncRemoteModel, RemoteFamily, RemoteModel
from he.service.conversation import Reply, ServiceError
from he.testing import inputs
from tests.he.service.conftest import Live
from tests.he.service.running import NETWORKS, POLICY

IMAGES = inputs(NETWORKS["exact"], 6)
LOGITS = NETWORKS["exact"].logits(IMAGES)


class Between(httpx.BaseTransport):
    """A connection on which some calls are answered in other ways, in their order."""

    def __init__(self, *tricks) -> None:
        self.tricks, self.calls = list(tricks), []
        self._through = httpx.HTTPTransport()

    def handle_request(self, request):
        self.calls.append((request.method, request.content))
        trick = self.tricks.pop(0) if self.tricks and request.method == "POST" else None
        return trick(request, self._through.handle_request) if trick else self._through.handle_request(request)

    def close(self):
        self._through.close()


def busy(request, through):
    return httpx.Response(503, headers={"Retry-After": "0"}, stream=httpx.ByteStream(b"no problem's details"))


def lost(request, through):
    through(request).read()
    raise httpx.ReadError("the connection broke before the answer")


def garbled(request, through):
    return httpx.Response(429, headers={"Retry-After": "soon"}, stream=httpx.ByteStream(b""))


@pytest.fixture
def remote(live, monkeypatch):
    """Clients of the server, who do not wait as long as they say."""
    monkeypatch.setattr("he.service.client.time.sleep", lambda seconds: None)

    def made(*tricks, **options):
        options = {"policy": POLICY, "http": {"transport": Between(*tricks)}, **options}
        return RemoteModel(live.url, "exact", live.tokens["ann"], **options)

    return made


def test_images_of_any_number_and_either_kind(remote) -> None:
    with remote() as model:
        assert (model.predict(IMAGES) == LOGITS).all()
        assert (model.predict(IMAGES.astype(float)) == LOGITS).all()
        model.send_keys()
        sent = [method for method, _ in model._http._transport.calls]
        assert sent.count("PUT") == 1


def test_a_client_goes_on_with_its_keys(remote) -> None:
    with remote() as model:
        client = model.client
        model.send_keys()
    keys = {"secret_key": client.secret_key, "evaluation_keys": client.evaluation_keys.to_bytes()}
    with remote(**keys) as model:
        assert (model.predict(IMAGES[:1]) == LOGITS[:1]).all()
        assert "PUT" not in [method for method, _ in model._http._transport.calls]


def test_what_is_refused_for_now_is_sent_again_as_it_was(remote) -> None:
    with remote(busy, garbled) as model:
        model.send_keys()
        assert (model.predict(IMAGES[:1]) == LOGITS[:1]).all()
        bodies = [body for method, body in model._http._transport.calls if method == "POST"]
        assert len(bodies) == 3
        assert len(set(bodies)) == 1


def test_what_may_have_been_evaluated_is_encrypted_anew(remote) -> None:
    with remote(lost, lost) as model:
        model.send_keys()
        assert (model.predict(IMAGES[:1]) == LOGITS[:1]).all()
        bodies = [body for method, body in model._http._transport.calls if method == "POST"]
        assert len(set(bodies)) == len(bodies) == 3


def test_a_client_does_not_try_for_ever(remote, live) -> None:
    with remote(*[busy] * 9, tries=3) as model:
        model.send_keys()
        with pytest.raises(ServiceError, match="503") as refused:
            model.predict(IMAGES[:1])
        assert refused.value.status == 503
        assert len([1 for method, _ in model._http._transport.calls if method == "POST"]) == 3
    with remote(*[lost] * 9, tries=2) as model:
        model.send_keys()
        with pytest.raises(ServiceError, match="does not answer"):
            model.predict(IMAGES[:1])
    with RemoteModel(live.url, "unknown", policy=POLICY) as model, pytest.raises(ServiceError, match="no model"):
        model.predict(IMAGES)
    with RemoteModel(live.url, "exact", policy=POLICY) as model, pytest.raises(ServiceError, match="401"):
        model.predict(IMAGES)
    with RemoteModel("http://127.0.0.1:1", "exact", tries=1) as model, pytest.raises(ServiceError, match="not answer"):
        model.send_keys()


def test_what_is_no_address_or_token() -> None:
    with pytest.raises(ValueError, match="`url` must be an address"):
        RemoteModel("http://[::1", "exact")
    for token in ("two words", "line\nbreak", "", "\N{SNOWMAN}"):
        with pytest.raises(ValueError, match="`token`") as refused:
            RemoteModel("http://127.0.0.1:1", "exact", token)
        assert not token or token not in str(refused.value)


def test_what_a_server_says_does_not_command_a_terminal() -> None:
    said = Reply(404, b'{"detail": "gone\\u001b[2J\\r\\nmodel \\u202e"}').detail
    assert said == "gone [2J  model  "


def test_an_answer_that_hardly_comes_is_not_waited_for(monkeypatch) -> None:
    class Drops(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self):
            for _ in range(1000):
                time.sleep(0.01)
                yield b"a"

        async def __aiter__(self):
            for drop in self:
                yield drop

    async def ask():
        async with AsyncRemoteModel("http://here", "exact", http={"transport": slow}) as model:
            await model.client()

    monkeypatch.setattr("he.service.client._ANSWER_SECONDS", 0.1)
    monkeypatch.setattr("he.service.client._LEAST_RATE", 1 << 40)
    slow = httpx.MockTransport(lambda _: httpx.Response(200, stream=Drops()))
    with (
        RemoteModel("http://here", "exact", http={"transport": slow}) as model,
        pytest.raises(ServiceError, match="too slowly"),
    ):
        model.send_keys()
    with pytest.raises(ServiceError, match="too slowly"):
        asyncio.run(ask())


def test_the_clients_own_rules_hold(remote, live) -> None:
    with RemoteModel(live.url, "exact") as model, pytest.raises(PolicyError, match="security"):
        model.predict(IMAGES)
    with remote(secret_key=SecretKey.generate(model_parameters(live))) as model:
        assert (model.predict(IMAGES[:1]) == LOGITS[:1]).all()

    def forged(request, through):
        answer = through(request)
        content = answer.read()
        return httpx.Response(200, stream=httpx.ByteStream(content[:-1] + bytes([content[-1] ^ 1])))

    with remote(forged) as model:
        model.send_keys()
        with pytest.raises((ValueError, DecryptionError), match="damaged"):
            model.predict(IMAGES[:1])

    def endless(request, through):
        return httpx.Response(200, content=(bytes(1 << 16) for _ in iter(int, 1)))

    with remote(endless) as model:
        model.send_keys()
        with pytest.raises(ServiceError, match="more than"):
            model.predict(IMAGES[:1])


def model_parameters(live):
    with RemoteModel(live.url, "exact", policy=POLICY) as model:
        return model.client.interface.parameters


@pytest.fixture(scope="module")
def family(models, tmp_path_factory):
    """A server of one network as two circuits, `one` for single images and `many` for 64, and of another network."""
    folder = tmp_path_factory.mktemp("family")
    for name, images in (("one", 1), ("many", 64)):
        circuit = compile_exact(NETWORKS["exact"], images=images, salt=bytes(32), security="insecure")
        prepare(circuit).save(folder / f"{name}.he")
    shutil.copy(models / "approximate.he", folder / "other.he")
    with Live(folder, tmp_path_factory.mktemp("store")) as live:
        yield live


def test_any_number_of_images_is_asked_for_at_the_least_cost(family) -> None:
    images = inputs(NETWORKS["exact"], 40)
    due, token = NETWORKS["exact"].logits(images), family.tokens["ann"]
    http = {"transport": Between()}
    with RemoteFamily(family.url, ("one", "many"), token, policy=POLICY, http=http) as model:
        assert [model.plan(count)[:3] for count in (1, 40)] == [(0, 1, 1), (1, 64, 1)]
        assert not [method for method, _ in http["transport"].calls if method != "GET"]  # nor were keys made
        for count in (40, 1):
            assert (model.predict(images[:count]) == due[:count]).all()
        for wrong in (images[:0], images[0], np.float64(1)):
            with pytest.raises((InputError, TypeError)):
                model.predict(wrong)

    async def story():
        async with AsyncRemoteFamily(family.url, ("many", "one"), token, policy=POLICY) as model:
            assert (await model.plan(40)).circuit == 0
            return await model.predict(images)

    assert (asyncio.run(story()) == due).all()


@pytest.mark.parametrize("names", [(), ("one", "other"), ("one", "one"), ("one", "nobody")])
def test_what_is_no_family(family, names) -> None:
    model = RemoteFamily(family.url, names, family.tokens["ann"], policy=POLICY)
    with model, pytest.raises((MessageError, ServiceError), match=r"of one network|no model of this name"):
        model.predict(inputs(NETWORKS["exact"], 1))


@pytest.mark.parametrize("card", [b"", b"{}", b'{"units": "3"}', b'{"units": -1}', b'{"units": 1e999}', b"[3]"])
def test_a_card_that_is_none(family, card, monkeypatch) -> None:
    through = Between()

    def answered(request):
        if request.url.path == "/v1/models/one":
            return httpx.Response(200, stream=httpx.ByteStream(card))
        return through.handle_request(request)

    http = {"transport": httpx.MockTransport(answered)}
    model = RemoteFamily(family.url, ("one", "many"), family.tokens["ann"], policy=POLICY, http=http)
    with closing(through), model, pytest.raises(MessageError):
        model.plan(1)


def test_circuits_that_the_policy_does_not_accept_are_never_asked(family) -> None:
    with RemoteFamily(family.url, ("one", "many"), policy=Policy()) as model, pytest.raises(PolicyError):
        model.plan(1)


def test_many_at_once(live) -> None:
    async def story():
        models = [AsyncRemoteModel(live.url, "exact", live.tokens["ann"], policy=POLICY) for _ in range(3)]
        for model in models:
            async with model:
                assert (await model.client()).interface.images == 4
                await model.send_keys()
                each = await asyncio.gather(*(model.predict(IMAGES[i : i + 2]) for i in range(3)))
                for i, logits in enumerate(each):
                    np.testing.assert_array_equal(logits, LOGITS[i : i + 2])

    asyncio.run(story())


def count_keys(monkeypatch):
    """A list that grows by a client whenever keys are made."""
    made = []

    def client(*args, **options):
        made.append(Client(*args, **options))
        return made[-1]

    monkeypatch.setattr("he.service.conversation.Client", client)
    return made


@pytest.mark.parametrize("asynchronous", [True, False])
def test_those_who_begin_at_once_share_one_pair_of_keys(models, tmp_path, monkeypatch, asynchronous) -> None:
    async def together(url, token):
        async with AsyncRemoteModel(url, "exact", token, policy=POLICY) as model:
            return await asyncio.gather(*(model.predict(IMAGES[:2]) for _ in range(6)))

    made = count_keys(monkeypatch)
    with Live(models, tmp_path, keys_each=1) as live:
        if asynchronous:
            each = asyncio.run(together(live.url, live.tokens["ann"]))
        else:
            with (
                RemoteModel(live.url, "exact", live.tokens["ann"], policy=POLICY) as model,
                ThreadPoolExecutor(6) as pool,
            ):
                each = [*pool.map(model.predict, [IMAGES[:2]] * 6)]
        for logits in each:
            np.testing.assert_array_equal(logits, LOGITS[:2])
        assert len(made) == 1
        assert 'he_calls_total{operation="upload",status="201"} 1\n' in (text := live.ask("GET", "/metrics", "op").text)
        assert text.count('he_calls_total{operation="upload"') == 1


def test_a_talk_that_ends_in_the_middle_does_not_hold_up_others(live, monkeypatch) -> None:
    made = count_keys(monkeypatch)

    async def story():
        async with AsyncRemoteModel(live.url, "exact", live.tokens["ann"], policy=POLICY) as model:
            for seconds in (0.0, 0.001, 0.01, 0.02):
                with suppress(TimeoutError):
                    await asyncio.wait_for(model.send_keys(), seconds)
            return await model.predict(IMAGES[:2])

    np.testing.assert_array_equal(asyncio.run(asyncio.wait_for(story(), 60)), LOGITS[:2])
    assert len(made) == 1
    with RemoteModel(live.url, "exact", live.tokens["ann"], policy=POLICY) as model:
        monkeypatch.setattr("he.service.conversation.MOST_INTERFACE_BYTES", 10)
        with pytest.raises(ServiceError, match="more than the 10 bytes") as kept:
            model.send_keys()
        monkeypatch.undo()
        np.testing.assert_array_equal(model.predict(IMAGES[:2]), LOGITS[:2])
        assert kept  # and with it what the failed talk was about
