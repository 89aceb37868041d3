"""POST /v1/embeddings: unit vectors that depend on the text alone, so equal texts have equal vectors."""

from __future__ import annotations

import base64
import hashlib
import math
from array import array
from typing import Any

from costopt.demo.speaker import Encode
from costopt.types import Json

DIMENSIONS = 256


def embed(body: Json, encode: Encode) -> Json:
    """The answer to one request; a provider's real default has more dimensions than our 256."""
    texts = _inputs(body["input"])
    dimensions = body.get("dimensions") or DIMENSIONS
    packed: bool = body.get("encoding_format") == "base64"
    tokens = sum(len(encode(text) if isinstance(text, str) else text) for text in texts)
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector(str(text), dimensions), packed)}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def vector(text: str, dimensions: int) -> array[float]:
    """A unit vector of float32."""
    noise = array("h", hashlib.shake_256(text.encode()).digest(2 * dimensions))
    length = math.sqrt(sum(part * part for part in noise)) or 1.0
    return array("f", [part / length for part in noise])


def _inputs(given: Any) -> list[Any]:
    """A text, a list of texts, a list of token ids or a list of such lists."""
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        return [given]
    return list(given)


def _written(numbers: array[float], packed: bool) -> Any:
    return base64.b64encode(numbers.tobytes()).decode() if packed else numbers.tolist()
