"""A stand-in for PostgREST, for development and CI where the real one is not available. Never for production.

It speaks the part of PostgREST's protocol that the hub's API uses; `tests/standin` replays answers recorded
from the real server against it.
"""
