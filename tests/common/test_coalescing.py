"""Queries shared by waiting requests."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.common.coalescing import Coalescer


class Query:
    """A query that a test answers when it likes; `asked` are the questions of each."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.gate = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self, questions: list[str]) -> Sequence[str]:
        self.asked.append(questions)
        await self.gate.wait()
        if self.failure:
            raise self.failure
        return [f"{question}{len(self.asked)}" for question in questions]


async def settle() -> None:
    """Let every other task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_request_never_gets_the_answer_of_a_query_that_began_before_it() -> None:
    async def run() -> None:
        query = Query()
        coalescer = Coalescer(query)
        first = asyncio.create_task(coalescer.answer("a"))
        await settle()
        late = [asyncio.create_task(coalescer.answer("a")) for _ in range(5)]
        await settle()
        assert query.asked == [["a"]], "the second query waits for the first"
        query.gate.set()
        assert await first == "a1"
        assert {await task for task in late} == {"a2"}

    asyncio.run(run())


def test_waiting_requests_share_one_query_and_equal_questions_are_asked_once() -> None:
    async def run() -> None:
        query = Query()
        query.gate.set()
        coalescer = Coalescer(query)
        answers = await asyncio.gather(*(coalescer.answer(question) for question in "abacab" * 50))
        assert query.asked == [["a", "b", "c"]]
        assert set(answers) == {"a1", "b1", "c1"}

    asyncio.run(run())


def test_query_holds_at_most_so_many_questions() -> None:
    async def run() -> None:
        query = Query()
        query.gate.set()
        coalescer = Coalescer(query, limit=2)
        await asyncio.gather(*(coalescer.answer(question) for question in "abcde"))
        assert query.asked == [["a", "b"], ["c", "d"], ["e"]]

    asyncio.run(run())


def test_failure_reaches_all_that_wait_for_the_query_and_no_other() -> None:
    async def run() -> None:
        query = Query()
        query.failure = ValueError("refused")
        coalescer = Coalescer(query)
        failing = [asyncio.create_task(coalescer.answer("a")) for _ in range(3)]
        query.gate.set()
        for task in failing:
            with pytest.raises(ValueError, match="refused"):
                await task
        query.failure = None
        assert await coalescer.answer("a") == "a2"

    asyncio.run(run())


def test_disconnected_client_does_not_end_the_query_of_others() -> None:
    async def run() -> None:
        query = Query()
        coalescer = Coalescer(query)
        leaving, staying = (asyncio.create_task(coalescer.answer("a")) for _ in range(2))
        await settle()
        leaving.cancel()
        query.gate.set()
        assert await staying == "a1"

    asyncio.run(run())
