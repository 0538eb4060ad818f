"""The signature of webhooks of the provider."""

import json

import pytest

from adapters.whatsapp.signature import is_genuine
from tests.whatsapp.fake_meta import APP_SECRET, signed


@pytest.mark.parametrize("header", ["", "sha256=", "sha1=0", "0" * 64])
def test_webhook_without_a_signature_is_not_genuine(header: str) -> None:
    """A missing header must not skip the check."""
    assert not is_genuine(APP_SECRET, b"{}", header)


@pytest.mark.regression("tawn33y/whatsapp-cloud-api#60")
@pytest.mark.parametrize(
    "body",
    [
        b'{"entry":[],"text":"salon \xc3\xa9 / \\u00e9 \\/ 1.0 1e2"}',
        b'{\n   "entry" : [ ] ,\t"b":1,"a":2 }\r\n',
        b'{"a":1,"a":2,"n":1.10}',
    ],
    ids=["escapes", "spaces", "duplicates"],
)
def test_signature_is_checked_against_the_received_bytes(body: bytes) -> None:
    """The signature was checked against JSON that had been parsed and serialised again."""
    header = signed(body)["X-Hub-Signature-256"]
    assert is_genuine(APP_SECRET, body, header)
    assert not is_genuine(APP_SECRET, json.dumps(json.loads(body)).encode(), header)
