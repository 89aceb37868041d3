"""A request body as the pieces a prompt cache compares, in the order the provider reads them.

Tools, answer schema, system, messages. Texts are cut every `STEP` bytes, so that two prompts that share the
beginning of one long message are seen to share it; content blocks are pieces of their own. What does not
reach the model is left out: breakpoints, the order of JSON keys, a string written as one text block.

A prompt that the provider keeps (`previous_response_id`) is not in the body, so it is not among the pieces.

`cut` is the costly half and depends on the bytes of one part only, so its answers can be kept by digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from hashlib import blake2b
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from costopt.decide.promptcache.words import Piece
from costopt.types import Json
from costopt.wire import parts as content_parts
from costopt.wire.loose import items, record, records, text

#: Bytes of text per piece, about 64 tokens.
STEP = 256
#: Bytes that a message's role and frame stand for: 4 tokens.
FRAME = 16
_BYTES_PER_TOKEN = 4

_BEFORE = ("tools", "functions", "response_format", "text")
_SYSTEM = ("system", "instructions")
_AFTER = ("messages", "input", "prompt")
_PROMPT = (*_BEFORE, *_SYSTEM, *_AFTER)
#: Fields of a Messages request whose change spoils what is cached of system and messages, or of messages.
_SYSTEM_SWITCHES = ("speed",)
_MESSAGE_SWITCHES = ("tool_choice", "thinking", "output_config", "output_format", "context_management")
_MARKS = ("cache_control", "prompt_cache_breakpoint")
_MEDIA = frozenset(
    (
        "image",
        "image_url",
        "input_image",
        "computer_screenshot",
        "document",
        "file",
        "input_file",
        "input_audio",
    )
)
_RUNS = frozenset(("tool_use", "tool_result"))
_OWN_ITEMS = ("_call", "reasoning")

Mark: TypeAlias = Literal["", "5m", "1h"]
#: Digest of a part, its bytes' length, and its bytes, None where the text is withheld.
Part: TypeAlias = tuple[bytes, int, bytes | None]

#: Fields that do not reach the model.
_SILENT = frozenset((*_MARKS, "annotations", "id", "logprobs", "status"))

_encode = msgspec.json.Encoder(order="sorted").encode


class Cut(Struct, frozen=True):
    """One part of a body in pieces. `media`: it holds an image or a document."""

    pieces: tuple[Piece, ...]
    media: bool = False


def pieces_of(api: str, body: Json) -> list[Piece]:
    """The pieces of a whole request body."""
    groups = {key: [_cut(key, part) for part in _listed(key, body[key])] for key in _PROMPT if body.get(key)}
    return _joined(api, groups, body)


def pieces_from_parts(
    api: str,
    groups: Iterable[tuple[str, Sequence[Part]]],
    inline: Mapping[str, Any],
    memo: MutableMapping[tuple[str, bytes], Cut] | None = None,
) -> list[Piece]:
    """The same from a body taken apart: (key, parts) of the large values, `inline` the small ones as they are.

    `memo` keeps what parts were cut into, by (key, digest); the caller bounds it.
    """
    cuts = {key: [_known(key, part, memo) for part in parts] for key, parts in groups if key in _PROMPT}
    for key in _PROMPT:
        if key not in cuts and inline.get(key):
            cuts[key] = [_cut(key, part) for part in _listed(key, inline[key])]
    return _joined(api, cuts, inline)


def cut(key: str, data: bytes) -> Cut:
    """The pieces of one part: the JSON of a whole value under `key`, or of one item of `messages` or `input`."""
    value = json.loads(data)
    cuts = [_cut(key, part) for part in _listed(key, value)]
    return Cut(tuple(piece for one in cuts for piece in one.pieces), any(one.media for one in cuts))


def withheld(digest: bytes, size: int) -> Cut:
    """A part of which only hash and size are known: one piece. Breakpoints in it are not seen."""
    return Cut((Piece(digest, max(1, size)),))


def _known(key: str, part: Part, memo: MutableMapping[tuple[str, bytes], Cut] | None) -> Cut:
    digest, size, data = part
    found = memo.get((key, digest)) if memo is not None else None
    if found is None:
        found = withheld(digest, size) if data is None else cut(key, data)
        if memo is not None:
            memo[key, digest] = found
    return found


def _listed(key: str, value: Any) -> list[Any]:
    """The items of a list; anything else stands for a list of one. Of `text`, only an answer schema is read."""
    if key == "text" and isinstance(value, dict):
        schema = record(value).get("format")
        return [schema] if schema else []
    return items(value) if isinstance(value, list) else [value]


def _joined(api: str, groups: Mapping[str, Sequence[Cut]], body: Mapping[str, Any]) -> list[Piece]:
    def of(keys: Sequence[str]) -> list[Piece]:
        return [piece for key in keys for one in groups.get(key, ()) for piece in one.pieces]

    if api != "messages":
        return of(_PROMPT)
    media = any(one.media for one in groups.get("messages", ()))
    system = _switch([body.get(name) for name in _SYSTEM_SWITCHES])
    messages = _switch([media, *(body.get(name) for name in _MESSAGE_SWITCHES)])
    pieces = [*of(_BEFORE), *system, *of(_SYSTEM), *messages, *of(_AFTER)]
    return _with_automatic_mark(pieces, _mark(body))


def _switch(values: Sequence[Any]) -> tuple[Piece, ...]:
    """A piece without weight that differs when these values do."""
    return (Piece(_digest(_json(values)), 0, ends=""),) if any(values) else ()


def _with_automatic_mark(pieces: list[Piece], mark: Mark) -> list[Piece]:
    """Anthropic's top-level `cache_control` is a breakpoint on the last block that can bear one."""
    if mark and pieces and not pieces[-1].mark:
        pieces[-1] = replace(pieces[-1], mark=mark)
    return pieces


def _cut(key: str, value: Any) -> Cut:
    if key == "input" and isinstance(value, str):
        return _message({"role": "user", "content": value})
    if not isinstance(value, dict):
        return Cut(tuple(_text(str(value), "message")))
    item = record(value)
    if key not in _AFTER:
        return Cut(tuple(_block(item, "message" if key in _SYSTEM else "block")))
    if "content" in item or "role" in item:
        return _message(item)
    own = text(item.get("type")).endswith(_OWN_ITEMS)
    return Cut(tuple(_block(item, "block" if own else "message")), _holds_media([item]))


def _message(message: Json) -> Cut:
    """Role, then the content's blocks, then whatever else the message holds (tool calls, ids)."""
    end: Literal["block", "message"] = "block" if message.get("role") == "assistant" else "message"
    blocks = _blocks(message.get("content"))
    rest = {name: value for name, value in _heard(message).items() if name not in ("content", "role", "type")}
    pieces = [Piece(_digest(b"role:" + str(message.get("role")).encode()), FRAME, ends="")]
    for at, block in enumerate(blocks):
        pieces += _block(block, "" if _runs_on(block, blocks[at + 1 : at + 2]) else "block")
    if rest:
        pieces += _bytes(_json(rest), "block")
    last = replace(pieces[-1], ends=end)
    pieces[-1] = replace(last, mark=last.mark or _mark(message))
    return Cut(tuple(pieces), _holds_media(blocks))


def _blocks(content: Any) -> list[Json]:
    parts: list[Any] = [content] if isinstance(content, str) and content else items(content)
    return [record(part) if isinstance(part, dict) else {"type": "text", "text": str(part)} for part in parts]


def _runs_on(block: Json, following: Sequence[Json]) -> bool:
    """A run of tool calls, or of their results, is one position ("Tool use with prompt caching")."""
    kind = block.get("type")
    return kind in _RUNS and any(after.get("type") == kind for after in following)


def _block(block: Json, ends: Literal["", "block", "message"]) -> list[Piece]:
    """One content block; its breakpoint stands on its last piece."""
    bare = _heard(block)
    said = bare.get("text")
    if isinstance(said, str) and len(bare) <= 2 and bare.keys() <= {"type", "text"}:
        pieces = _text(said, ends)
    elif _holds_media([bare]):
        pieces = [Piece(_digest(_json(bare)), _media_weight(bare), ends=ends)]
    else:
        pieces = _bytes(_json(bare), ends)
    mark = _mark(block)
    return [*pieces[:-1], replace(pieces[-1], mark=mark)] if mark else pieces


def _heard(block: Json) -> Json:
    if block.get("type") == "item_reference":
        return block
    return {name: value for name, value in block.items() if name not in _SILENT and value is not None}


def _holds_media(blocks: Sequence[Json]) -> bool:
    return any(block.get("type") in _MEDIA or _holds_media(_inner(block)) for block in blocks)


def _inner(block: Json) -> list[Json]:
    """Blocks within a block: what a tool answered with."""
    return records(block.get("content")) or records(block.get("output"))


def _media_weight(block: Json) -> int:
    """Bytes of text that weigh as much as this block."""
    blocks = _inner(block) or [block]
    return 1 + content_parts.tokens(blocks) * _BYTES_PER_TOKEN + len(content_parts.text_of(blocks))


def _mark(holder: Mapping[str, Any]) -> Mark:
    control = record(holder.get("cache_control"))
    if control:
        return "1h" if control.get("ttl") == "1h" else "5m"
    return "5m" if record(holder.get("prompt_cache_breakpoint")) else ""


def _text(said: str, ends: Literal["", "block", "message"]) -> list[Piece]:
    return _bytes(said.encode("utf-8", "replace"), ends)


def _bytes(data: bytes, ends: Literal["", "block", "message"]) -> list[Piece]:
    pieces = [_piece(chunk, "") for chunk in _chunks(data)]
    pieces[-1] = replace(pieces[-1], ends=ends)
    return pieces


def _piece(chunk: bytes, ends: Literal["", "block", "message"]) -> Piece:
    return Piece(_digest(chunk), len(chunk), ends=ends)


def _chunks(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data) or 1, STEP):
        yield data[at : at + STEP]


def _json(value: Any) -> bytes:
    """JSON with keys in order, so that one that was built in another order is the same prompt."""
    try:
        return _encode(value)
    except (UnicodeError, OverflowError):
        # lone surrogates and integers above 64 bits are legal JSON to Python's own encoder
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
