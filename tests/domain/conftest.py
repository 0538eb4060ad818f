"""The fixture `context`, in the test's transaction."""

import pytest

from tests.support.context import Connection, Context, make_context


@pytest.fixture
def context(request: pytest.FixtureRequest, db: Connection) -> Context:
    """A context of tests.support.context; `@pytest.mark.context(...)` states arguments of `make_context`."""
    marker = request.node.get_closest_marker("context")
    return make_context(db, **(marker.kwargs if marker else {}))
