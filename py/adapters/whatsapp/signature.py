"""Proof that a webhook comes from Meta."""

import hashlib
import hmac

_PREFIX = "sha256="


def is_genuine(app_secret: str, body: bytes, header: str | None) -> bool:
    """Whether X-Hub-Signature-256 is that of these very bytes. No header, no secret: no."""
    if not app_secret or header is None or not header.startswith(_PREFIX):
        return False
    expected = hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), header.removeprefix(_PREFIX).encode())
