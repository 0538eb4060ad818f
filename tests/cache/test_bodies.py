"""Bodies: what is sent, and what is accepted from Redis."""

import gzip
import json
import os

import msgspec
import pytest

from adapters.cache.bodies import Answer, Body, Seal, build

SECRET = "s" * 40
NAME = "GOLD:7-3"


@pytest.fixture
def body() -> Body:
    text = b'{"price" : 207000.00, "name":"a  b"}'
    return build(Answer(state="7-3", version=7, etag='"GOLD-7-3"', body=msgspec.Raw(text)))


def test_body_is_compact_and_keeps_its_numbers(body: Body) -> None:
    assert body.plain == b'{"price":207000.00,"name":"a  b"}'
    assert gzip.decompress(body.compressed) == body.plain
    assert body.etag == 'W/"GOLD-7-3"'


def test_stored_body_comes_back(body: Body) -> None:
    assert Seal(SECRET).unpack(NAME, Seal(SECRET).pack(NAME, body)) == body


def test_value_of_another_name_or_installation_is_refused(body: Body) -> None:
    value = Seal(SECRET).pack(NAME, body)
    assert Seal(SECRET).unpack("SILVER:7-3", value) is None
    assert Seal(SECRET).unpack("GOLD:7-4", value) is None
    assert Seal("t" * 40).unpack(NAME, value) is None


def test_no_changed_bit_passes(body: Body) -> None:
    value = Seal(SECRET).pack(NAME, body)
    for position in range(0, len(value), 7):
        changed = bytearray(value)
        changed[position] ^= 1
        assert Seal(SECRET).unpack(NAME, bytes(changed)) is None


@pytest.mark.parametrize(
    "value", [b"", b"x", b"x" * 31, b"x" * 32, json.dumps({"price": 1}).encode(), os.urandom(500)]
)
def test_garbage_is_refused(value: bytes) -> None:
    assert Seal(SECRET).unpack(NAME, value) is None


@pytest.mark.parametrize(
    "compressed", [b"", b"no gzip", gzip.compress(b"{}", mtime=0)[:-3]], ids=["empty", "text", "cut off"]
)
def test_incomplete_body_is_refused_even_when_signed(body: Body, compressed: bytes) -> None:
    broken = Body(body.state, body.version, body.etag, body.plain, compressed)
    assert Seal(SECRET).unpack(NAME, Seal(SECRET).pack(NAME, broken)) is None


def test_body_that_unpacks_to_more_than_the_limit_is_refused(
    body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = Seal(SECRET).pack(NAME, body)
    monkeypatch.setattr("adapters.cache.bodies._LARGEST", len(body.plain) - 1)
    assert Seal(SECRET).unpack(NAME, value) is None
