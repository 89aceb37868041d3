"""The real SDKs through costopt against `aimock`, a simulator of provider APIs kept by others.

Every answer must be the object that the bare client gets, a repeat must be the first answer again at no cost, and
no fault may ever be cached.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
from ledgers import facts
from simulators import Simulator, aimock, running

import costopt
from costopt.policy import Cache, Policy
from costopt.world.ledger import Fact

CACHING = Policy(name="test", cache=Cache(tool_calls=True))
OPTIONS: dict[str, Any] = {"api_key": "k", "max_retries": 0, "timeout": 10}
OPENAI, CLAUDE = "gpt-4o-mini", "claude-haiku-4-5"
NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
PLACE: dict[str, Any] = {
    **NOTHING,
    "properties": {"city": {"type": "string"}, "units": {"enum": ["c", "f"]}},
    "required": ["city", "units"],
}
TOOLS = {"get_weather": PLACE, "get_time": NOTHING}
CHAT: dict[str, Any] = {
    "model": OPENAI,
    "tools": [
        {"type": "function", "function": {"name": name, "strict": True, "parameters": taken}}
        for name, taken in TOOLS.items()
    ],
}
RESPONSES: dict[str, Any] = {
    "model": OPENAI,
    "tools": [
        {"type": "function", "name": name, "strict": False, "parameters": taken}
        for name, taken in TOOLS.items()
    ],
}
MESSAGES: dict[str, Any] = {
    "model": CLAUDE,
    "max_tokens": 50,
    "tools": [{"name": name, "input_schema": taken} for name, taken in TOOLS.items()],
}
QUESTIONS = ("hello", "what weather", "multiply six by seven", "a tool first", "a priced one")


class Clients(NamedTuple):
    """The SDKs' clients for one simulator, bare or wrapped."""

    openai: openai.OpenAI
    anthropic: anthropic.Anthropic


def asked(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def chat(to: Clients, text: str, **more: Any) -> Any:
    return to.openai.chat.completions.create(messages=asked(text), **CHAT, **more)


def responses(to: Clients, text: str, **more: Any) -> Any:
    return to.openai.responses.create(input=text, **RESPONSES, **more)


def messages(to: Clients, text: str, **more: Any) -> Any:
    return to.anthropic.messages.create(messages=asked(text), **MESSAGES, **more)


def chat_final(to: Clients, text: str) -> Any:
    with to.openai.chat.completions.stream(messages=asked(text), **CHAT) as events:
        return events.get_final_completion()


def responses_final(to: Clients, text: str) -> Any:
    with to.openai.responses.stream(input=text, **RESPONSES) as events:
        return events.get_final_response()


def messages_final(to: Clients, text: str) -> Any:
    with to.anthropic.messages.stream(messages=asked(text), **MESSAGES) as events:
        return events.get_final_message()


def embeddings(to: Clients, text: str) -> Any:
    return to.openai.embeddings.create(model="text-embedding-3-small", input=[text, "a parcel"])


Ask = Callable[..., Any]
Recorded = Callable[[], list[Fact]]
APIS = pytest.mark.parametrize(
    ("ask", "final"), [(chat, chat_final), (responses, responses_final), (messages, messages_final)]
)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running("aimock", aimock(Path(__file__).with_name("aimock.json"))) as made:
        yield made


@pytest.fixture(scope="module")
def bare(simulator: Simulator) -> Iterator[Clients]:
    with (
        openai.OpenAI(base_url=f"{simulator.url}/v1", **OPTIONS) as first,
        anthropic.Anthropic(base_url=simulator.url, **OPTIONS) as second,
    ):
        yield Clients(first, second)


@pytest.fixture
def optimizer(tmp_path: Path) -> Iterator[costopt.Optimizer]:
    with costopt.Optimizer(CACHING, ledger=tmp_path) as made:
        yield made


@pytest.fixture
def recorded(optimizer: costopt.Optimizer, tmp_path: Path) -> Recorded:
    def read() -> list[Fact]:
        optimizer.flush()
        return facts(tmp_path)

    return read


@pytest.fixture
def wrapped(bare: Clients, optimizer: costopt.Optimizer) -> Clients:
    return Clients(optimizer.wrap(bare.openai), optimizer.wrap(bare.anthropic))


def ends(calls: list[Fact]) -> list[tuple[str, bool]]:
    """How each call ended, and whether it cost anything."""
    return [(call.outcome, call.cost != 0) for call in calls]


def plain(given: Any) -> Any:
    """The SDK's objects as plain values."""
    return [plain(each) for each in given] if isinstance(given, list) else given.model_dump()


def same(given: Any) -> Any:
    """`given` without what a provider makes up anew for each call: its ids and times."""
    if isinstance(given, list):
        return [same(each) for each in given]
    if not isinstance(given, dict):
        return given
    return {key: _anonymous(key, value) for key, value in given.items()}


def _anonymous(key: str, value: Any) -> Any:
    if key in ("created", "created_at", "completed_at"):
        return 0
    made_up = key in ("id", "item_id") and isinstance(value, str) and not value.startswith("call_")
    return "id" if made_up else same(value)


@APIS
@pytest.mark.parametrize("text", QUESTIONS)
def test_an_answer_is_the_bare_clients_and_its_repeats_are_free(
    ask: Ask, final: Ask, text: str, bare: Clients, wrapped: Clients, recorded: Recorded
) -> None:
    first = ask(wrapped, text)
    assert same(plain(first)) == same(plain(ask(bare, text)))
    assert ask(wrapped, text) == first
    streamed = final(wrapped, text)
    assert same(plain(streamed)) == same(plain(final(wrapped, text)))
    assert json.dumps(said(plain(streamed))) == json.dumps(said(plain(first)))
    assert ends(recorded()) == [("ok", True), *[("hit", False)] * 3]


#: What an answer says is below these keys.
SAID = {
    "choices",
    "message",
    "content",
    "text",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "input",
    "output",
}


def said(answer: Any) -> Any:
    """Texts and tool calls of an answer."""
    if isinstance(answer, list):
        return [said(each) for each in answer]
    if not isinstance(answer, dict):
        return answer
    return {key: said(value) for key, value in sorted(answer.items()) if key in SAID}


@APIS
@pytest.mark.parametrize("text", QUESTIONS)
def test_a_stream_is_the_bare_clients_and_its_repeats_are_the_same_events(
    ask: Ask, final: Ask, text: str, bare: Clients, wrapped: Clients, recorded: Recorded
) -> None:
    first = list(ask(wrapped, text, stream=True))
    assert same(plain(first)) == same(plain(list(ask(bare, text, stream=True))))
    assert list(ask(wrapped, text, stream=True)) == first
    whole = ask(wrapped, text)
    assert same(said(plain(whole))) == same(said(plain(ask(bare, text))))
    assert ends(recorded()) == [("ok", True), *[("hit", False)] * 2]


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_provider_looked_up_is_the_bare_clients_and_asked_for_again(
    stream: bool, bare: Clients, wrapped: Clients, recorded: Recorded
) -> None:
    def ask(to: Clients) -> Any:
        answer = responses(to, "any news", stream=stream)
        return same(plain(list(answer) if stream else answer))

    assert ask(wrapped) == ask(bare) == ask(wrapped)
    assert [outcome for outcome, _ in ends(recorded())] == ["ok", "ok"]


def test_a_tool_loop_comes_to_the_same_end(bare: Clients, wrapped: Clients) -> None:
    def loop(to: Clients) -> Any:
        asks = chat(to, "what weather").choices[0].message
        results = [{"role": "tool", "tool_call_id": call.id, "content": "-3"} for call in asks.tool_calls]
        history = [*asked("what weather"), asks, *results]
        return to.openai.chat.completions.create(messages=history, **CHAT).choices[0].message

    assert loop(wrapped) == loop(bare) == loop(wrapped)


def test_the_recorded_cost_is_that_of_the_usage_sent(wrapped: Clients, recorded: Recorded) -> None:
    chat(wrapped, "a priced one")
    list(messages(wrapped, "a priced one", stream=True))
    # per million tokens: gpt-4o-mini $0.15 and $0.60, claude-haiku-4-5 $1 and $5
    assert [call.cost for call in recorded()] == [1000 * 150 + 100 * 600, 1000 * 1000 + 100 * 5000]


def test_embeddings_are_the_bare_clients_and_their_repeats_are_free(
    bare: Clients, wrapped: Clients, recorded: Recorded
) -> None:
    first = embeddings(wrapped, "a letter")
    assert first == embeddings(bare, "a letter") == embeddings(wrapped, "a letter")
    assert ends(recorded()) == [("ok", True), ("hit", False)]


def test_async_calls_and_streams_are_the_bare_clients(
    simulator: Simulator, bare: Clients, optimizer: costopt.Optimizer, recorded: Recorded
) -> None:
    async def main() -> tuple[list[Any], list[Any]]:
        made = openai.AsyncOpenAI(base_url=f"{simulator.url}/v1", **OPTIONS)
        async with optimizer.wrap(made) as client:
            create = client.chat.completions.create
            answers = [create(messages=asked("hello"), **CHAT) for _ in range(5)]
            plain_ones = await asyncio.gather(*answers)
            return plain_ones, [
                event async for event in await create(messages=asked("multiply"), stream=True, **CHAT)
            ]

    answers, events = asyncio.run(main())
    assert all(answer == answers[0] for answer in answers)
    assert same(plain(answers[0])) == same(plain(chat(bare, "hello")))
    assert same(plain(events)) == same(plain(list(chat(bare, "multiply", stream=True))))
    assert sorted(ends(recorded())) == [*[("hit", False)] * 4, *[("ok", True)] * 2]


@APIS
def test_a_truncated_answer_is_never_cached(
    ask: Ask, final: Ask, wrapped: Clients, recorded: Recorded
) -> None:
    assert ask(wrapped, "a novel").id != ask(wrapped, "a novel").id
    list(ask(wrapped, "a novel", stream=True))
    assert ends(recorded()) == [("ok", True)] * 3


@APIS
def test_who_leaves_a_stream_pays_for_it_and_leaves_nothing_behind(
    ask: Ask, final: Ask, wrapped: Clients, recorded: Recorded
) -> None:
    with ask(wrapped, "hello", stream=True) as events:
        next(iter(events))
    list(ask(wrapped, "hello", stream=True))
    left, again = recorded()
    assert (left.outcome, again.outcome) in (
        ("left", "ok"),
        ("ok", "hit"),
    )  # aimock may have sent all of it by then
    assert left.cost


@APIS
def test_a_stream_that_breaks_off_is_an_error(
    ask: Ask, final: Ask, bare: Clients, wrapped: Clients, recorded: Recorded
) -> None:
    def read(to: Clients) -> tuple[Any, type[Exception]]:
        seen: list[Any] = []
        with pytest.raises(Exception) as caught:  # each SDK has its own; it must be the same
            seen.extend(event for event in ask(to, "it breaks", stream=True))
        return same(plain(seen[:2])), caught.type  # what was on its way when the line broke may be lost

    assert read(wrapped) == read(bare) == read(wrapped)
    assert ends(recorded()) == [("error", True)] * 2


FAULTS: dict[str, tuple[type[Exception], ...]] = {
    "dropRate": (openai.InternalServerError, anthropic.InternalServerError),
    "rateLimitRate": (openai.RateLimitError, anthropic.RateLimitError),
    "disconnectRate": (openai.APIConnectionError, anthropic.APIConnectionError),
    "malformedRate": (ValueError,),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("ask", [chat, responses, messages, embeddings])
def test_a_fault_is_the_sdks_own_error_and_never_cached(
    ask: Ask, fault: str, simulator: Simulator, bare: Clients, wrapped: Clients, recorded: Recorded
) -> None:
    simulator.ask("POST", "/__aimock/chaos", {fault: 1})
    try:
        errors = []
        for to in (bare, wrapped):
            with pytest.raises(FAULTS[fault]) as caught:
                ask(to, "hello")
            errors.append((type(caught.value), str(caught.value)))
    finally:
        simulator.ask("DELETE", "/__aimock/chaos")
    assert errors[0] == errors[1]
    assert ask(wrapped, "hello") == ask(wrapped, "hello")
    assert [call.outcome for call in recorded()] == ["error", "ok", "hit"]


def test_files_and_batches_pass_through(
    bare: Clients, wrapped: Clients, optimizer: costopt.Optimizer, tmp_path: Path
) -> None:
    def work(to: Clients) -> Any:
        body = {"model": OPENAI, "messages": asked("hello")}
        line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": body}
        files, batches = to.openai.files, to.openai.batches
        sent = files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = batches.create(
            input_file_id=sent.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        states = [batch.status, *(batches.retrieve(batch.id).status for _ in range(2))]
        output = json.loads(files.content(batches.retrieve(batch.id).output_file_id or "").text)
        return files.content(sent.id).text, states, same(output["response"]["body"])

    assert work(wrapped) == work(bare)
    optimizer.flush()
    assert not list(tmp_path.iterdir())
