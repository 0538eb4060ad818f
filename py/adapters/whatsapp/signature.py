"""The signature by which Meta authenticates its webhooks."""

import hashlib
import hmac

_PREFIX = "sha256="


def is_genuine(app_secret: str, body: bytes, header: str | None) -> bool:
    """Whether `header`, the X-Hub-Signature-256, signs exactly these bytes.

    False without a header, and without a secret, with which anyone could sign.
    """
    if not app_secret or header is None or not header.startswith(_PREFIX):
        return False
    expected = hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), header.removeprefix(_PREFIX).encode())
