"""Bodies: the bytes of an answer, plain and compressed, and their form in Redis."""

import gzip
import hashlib
import hmac
import zlib
from dataclasses import dataclass

import msgspec

_LEVEL = 6
_MAC_BYTES = 32
_LARGEST = 64 * 1024 * 1024
"""Bytes of a body at most, so that a forged value cannot unpack without end."""


@dataclass(frozen=True)
class Body:
    """An answer with the state of the database that it shows."""

    state: str
    version: int
    etag: str
    plain: bytes
    compressed: bytes
    """The same by gzip."""


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """A body as Redis stores it."""

    state: str
    version: int
    etag: str
    compressed: bytes


class Answer(msgspec.Struct, frozen=True):
    """What app.cache_catalogue and app.cache_configs return; the body keeps its bytes."""

    state: str
    version: int
    etag: str
    body: msgspec.Raw


def build(answer: Answer) -> Body:
    """Compress an answer of the database; blocks for some milliseconds."""
    plain = msgspec.json.format(bytes(answer.body), indent=-1)
    # Plain and compressed bytes share one tag, which is therefore a weak one.
    return Body(
        answer.state,
        answer.version,
        f"W/{answer.etag}",
        plain,
        gzip.compress(plain, compresslevel=_LEVEL, mtime=0),
    )


class Seal:
    """Signs what is stored in Redis, so that nothing else passes as a body.

    The signature covers the name: a value under another name, or of another installation, is refused.
    """

    def __init__(self, secret: str) -> None:
        """`secret` is the signing secret of the installation, from which the key is derived."""
        self._key = hmac.digest(secret.encode(), b"cache bodies", hashlib.sha256)

    def pack(self, name: str, body: Body) -> bytes:
        """The signed value of a body under this name."""
        payload = msgspec.msgpack.encode(Stored(body.state, body.version, body.etag, body.compressed))
        return self._mac(name, payload) + payload

    def unpack(self, name: str, value: bytes) -> Body | None:
        """The body, None if this installation did not write the value under this name."""
        mac, payload = value[:_MAC_BYTES], value[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(name, payload)):
            return None
        try:
            stored = msgspec.msgpack.decode(payload, type=Stored)
            plain = _decompressed(stored.compressed)
        except (msgspec.DecodeError, zlib.error):
            return None
        return Body(stored.state, stored.version, stored.etag, plain, stored.compressed)

    def _mac(self, name: str, payload: bytes) -> bytes:
        return hmac.digest(self._key, name.encode() + b"\0" + payload, hashlib.sha256)


def _decompressed(compressed: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    plain = unpacker.decompress(compressed, _LARGEST)
    if not unpacker.eof:
        raise zlib.error("incomplete, or too large")
    return plain
