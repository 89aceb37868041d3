"""The simulator against the real client libraries: what they parse without complaint is good enough."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anthropic
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from costopt.demo.promptcache import PromptCache
from costopt.demo.simulator import Simulator

TOOLS: list[ChatCompletionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"ticket": {"type": "string"}}},
        },
    }
    for name in ("read_ticket", "find_orders")
]


@pytest.fixture
def provider() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def client(provider: Simulator) -> Iterator[OpenAI]:
    with OpenAI(base_url=provider.base_url, api_key="none", max_retries=0) as client:
        yield client


def ask(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "system", "content": "You help."}, {"role": "user", "content": text}]


def test_the_answer_is_a_function_of_the_request(client: OpenAI) -> None:
    first, again, other = (
        client.chat.completions.create(model="gpt-4o", messages=ask(text))
        for text in ("Where is it?", "Where is it?", "Who is it?")
    )
    assert first == again
    assert first.choices[0].message.content != other.choices[0].message.content
    assert first.usage is not None and first.usage.prompt_tokens > 8


def test_a_stream_adds_up_to_the_plain_answer(client: OpenAI) -> None:
    plain = client.chat.completions.create(model="gpt-4o", messages=ask("Hello"))
    chunks = list(
        client.chat.completions.create(
            model="gpt-4o", messages=ask("Hello"), stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == plain.choices[0].message.content
    assert chunks[-1].usage == plain.usage and not chunks[-1].choices
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_stream_without_options_has_no_usage(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=ask("Hello"), stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_tool_loop_follows_the_next_step(client: OpenAI) -> None:
    messages = ask("Please see to T-104")
    called: list[str] = []
    for output in ('{"next_step": "find_orders", "status": "open"}', '{"orders": []}'):
        reply = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS).choices[0]
        assert reply.finish_reason == "tool_calls" and reply.message.tool_calls
        call = reply.message.tool_calls[0]
        assert call.type == "function"
        called.append(f"{call.function.name} {call.function.arguments}")
        messages += [
            {"role": "assistant", "tool_calls": [call.model_dump()]},  # type: ignore[list-item]
            {"role": "tool", "tool_call_id": call.id, "content": output},
        ]
    last = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS).choices[0]
    assert called == ['read_ticket {"ticket": "T-104"}', 'find_orders {"ticket": "T-104"}']
    assert last.finish_reason == "stop" and last.message.content


def test_streamed_tool_calls_assemble(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="gpt-4o", messages=ask("See T-9 and T-17"), tools=TOOLS
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls and message.tool_calls[0].function.arguments == '{"ticket": "T-17"}'


class Verdict(BaseModel):
    label: str
    urgent: bool
    steps: list[str]


def test_a_json_schema_is_filled(client: OpenAI) -> None:
    parsed = client.chat.completions.parse(
        model="gpt-4o", messages=ask("Judge T-12"), response_format=Verdict
    )
    assert isinstance(parsed.choices[0].message.parsed, Verdict)
    answer = client.responses.parse(model="gpt-4o", input="Judge T-12", text_format=Verdict)
    assert isinstance(answer.output_parsed, Verdict)


def test_a_choice_is_one_of_the_labels(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model="gpt-4o-mini", messages=ask("Answer with one of: billing, delivery, other")
    )
    assert reply.choices[0].message.content in ("billing", "delivery", "other")


def test_max_tokens_and_n_are_obeyed(client: OpenAI) -> None:
    reply = client.chat.completions.create(model="gpt-4o", messages=ask("Hi"), max_tokens=5, n=2)
    assert [choice.finish_reason for choice in reply.choices] == ["length", "length"]
    assert reply.choices[0].message.content != reply.choices[1].message.content
    assert reply.usage is not None and reply.usage.completion_tokens == 10


def test_the_prompt_cache_reads_long_unchanged_prefixes_only(client: OpenAI) -> None:
    def cached(*texts: str) -> int:
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": text} for text in texts]
        usage = client.chat.completions.create(model="gpt-4o", messages=messages).usage
        assert usage is not None and usage.prompt_tokens_details is not None
        return usage.prompt_tokens_details.cached_tokens or 0

    long = "word " * 1100
    assert cached(long) == 0
    assert cached(long, "and now?") == 1024
    assert cached("one thing. " + long) == 0
    assert cached("short") == cached("short") == 0


def test_a_prompt_cache_forgets_after_its_idle_time_and_steps_by_128() -> None:
    now = [0.0]
    cache = PromptCache(lambda: now[0], keep=300)
    tokens = list(range(1500))
    assert cache.read("m", tokens) == 0
    now[0] += 299
    assert cache.read("m", tokens) == 1024 + 3 * 128
    assert cache.read("other", tokens) == 0
    assert cache.read("m", [*tokens[:1200], 0]) == 1152
    now[0] += 300
    assert cache.read("m", tokens) == 0


def test_embeddings_agree_in_both_encodings(client: OpenAI) -> None:
    texts = ["red", "blue", "red"]
    packed = client.embeddings.create(model="text-embedding-3-small", input=texts)
    plain = client.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")
    assert packed.data == plain.data
    assert packed.data[0].embedding == packed.data[2].embedding != packed.data[1].embedding
    sized = client.embeddings.create(model="text-embedding-3-small", input="red", dimensions=8)
    assert len(sized.data[0].embedding) == 8 and sized.usage.prompt_tokens == 1


def test_responses_plain_streamed_and_with_a_tool(client: OpenAI) -> None:
    plain = client.responses.create(model="gpt-4o", input="Hello")
    events = list(client.responses.create(model="gpt-4o", input="Hello", stream=True))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == plain.output_text and events[-1].type == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    called = client.responses.create(
        model="gpt-4o",
        input="See T-5",
        tools=[{"type": "function", "name": "look", "strict": False, "parameters": {"properties": {}}}],
    )
    assert called.output[0].type == "function_call"
    with client.responses.stream(model="gpt-4o", input="Hello") as stream:
        assert stream.get_final_response().output_text == plain.output_text


def test_messages_plain_streamed_and_with_a_tool(provider: Simulator) -> None:
    client = anthropic.Anthropic(base_url=provider.url, api_key="none", max_retries=0)
    hello: anthropic.types.MessageParam = {"role": "user", "content": "See T-5"}
    plain = client.messages.create(model="claude-sonnet-4-6", max_tokens=500, messages=[hello])
    with client.messages.stream(model="claude-sonnet-4-6", max_tokens=500, messages=[hello]) as stream:
        final = stream.get_final_message()
    assert final.content[0].type == plain.content[0].type == "text"
    assert (
        final.content[0].text == plain.content[0].text
        and final.usage.output_tokens == plain.usage.output_tokens
    )
    called = client.messages.create(
        model="claude-sonnet-4-6",
        max_tokens=500,
        messages=[hello],
        tools=[
            {"name": "look", "input_schema": {"type": "object", "properties": {"id": {"type": "string"}}}}
        ],
    )
    assert called.stop_reason == "tool_use" and called.content[0].type == "tool_use"
    assert called.content[0].input == {"id": "T-5"}
    client.close()


def test_messages_cache_only_what_is_marked(provider: Simulator) -> None:
    client = anthropic.Anthropic(base_url=provider.url, api_key="none", max_retries=0)

    def usage(marked: bool) -> tuple[int, int]:
        block: anthropic.types.TextBlockParam = {"type": "text", "text": "word " * 1200}
        if marked:
            block["cache_control"] = {"type": "ephemeral"}
        told = client.messages.create(
            model="claude-sonnet-4-6",
            max_tokens=9,
            system=[block],
            messages=[{"role": "user", "content": "Hi"}],
        ).usage
        return told.cache_creation_input_tokens or 0, told.cache_read_input_tokens or 0

    assert usage(False) == (0, 0)
    assert usage(True)[1] == 1152
    client.close()


@pytest.mark.parametrize(
    ("status", "error"), [(429, openai.RateLimitError), (500, openai.InternalServerError)]
)
def test_failures_come_first_then_all_is_well(
    provider: Simulator, client: OpenAI, status: int, error: type[openai.APIStatusError]
) -> None:
    provider.fail(status, retry_after=0.5)
    with pytest.raises(error) as caught:
        client.chat.completions.create(model="gpt-4o", messages=ask("Hi"))
    assert caught.value.response.headers["retry-after"] == "0.5"
    assert client.chat.completions.create(model="gpt-4o", messages=ask("Hi")).choices
    assert provider.calls == 2 and [path for path, _ in provider.requests] == ["/v1/chat/completions"] * 2


def test_a_stream_breaks_where_told(provider: Simulator, client: OpenAI) -> None:
    provider.cut(after=3)
    seen = 0
    with pytest.raises(Exception, match=r"incomplete|peer closed"):
        for _ in client.chat.completions.create(model="gpt-4o", messages=ask("Hi"), stream=True):
            seen += 1
    assert seen == 3 and provider.cut_off == ["/v1/chat/completions"]


def test_garbled_json_and_gateway_pages(provider: Simulator, client: OpenAI) -> None:
    provider.garble()
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|EOF"):
        client.chat.completions.create(model="gpt-4o", messages=ask("Hi"))
    provider.gateway_page()
    with pytest.raises(openai.InternalServerError, match=r"nginx"):
        client.chat.completions.create(model="gpt-4o", messages=ask("Hi"))


def test_bad_requests_and_unknown_paths_are_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="gpt-4o", messages="no list")  # type: ignore[arg-type]
    with pytest.raises(openai.NotFoundError):
        client.files.list()
    assert [model.id for model in client.models.list()] == ["gpt-4o", "gpt-4o-mini", "text-embedding-3-small"]


def test_a_client_that_gives_up_on_a_hanging_provider(provider: Simulator, client: OpenAI) -> None:
    provider.hang()
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.05).chat.completions.create(model="gpt-4o", messages=ask("Hi"))


def test_many_at_once_over_few_connections(provider: Simulator, client: OpenAI) -> None:
    def one(number: int) -> str:
        reply = client.chat.completions.create(model="gpt-4o", messages=ask(f"{number}"))
        return reply.choices[0].message.content or ""

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(one, range(40)))) == 40
    assert provider.calls == 40


def test_close_leaves_nothing_behind() -> None:
    fds = Path("/proc/self/fd")
    before = len(list(fds.iterdir())) if fds.exists() else 0
    threads = threading.active_count()
    provider = Simulator()
    client = OpenAI(base_url=provider.base_url, api_key="none", max_retries=0)
    client.models.list()
    provider.hang()
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(client.models.list)
        while provider.calls < 2:
            pass
        provider.close()
        provider.close()
        assert isinstance(hanging.exception(timeout=5), openai.APIConnectionError)
    client.close()
    assert threading.active_count() == threads
    if fds.exists():
        assert len(list(fds.iterdir())) == before
