"""Certificates of clients: to load them takes 0.1 s of processor time, an eighth of an adapter's start."""


def needs_certificates(url: str) -> bool:
    """Whether calls of this address verify a certificate: the argument `verify` of a client of httpx."""
    return url.startswith("https:")
