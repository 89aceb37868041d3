"""Loads tiktoken's encodings from the files litellm ships, so that counting never touches the network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from costopt.decide.tokens import Encode, TokenCounter
from costopt.world.pricemap import package_folder

#: File name (as tiktoken caches it) and SHA-256 of each encoding.
_FILES = {
    "o200k_base": (
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
    "cl100k_base": (
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}
_VARIABLE = "TIKTOKEN_CACHE_DIR"


def counter(scale: Mapping[str, float] = {}) -> TokenCounter:
    """A counter on the bundled encodings; they are loaded at the first count."""
    folder = package_folder()
    return TokenCounter(loader(folder / "litellm_core_utils" / "tokenizers" if folder else None), scale)


def loader(folder: Path | None) -> Callable[[str], Encode | None]:
    """Loads encodings from `folder`; None for one whose file is missing or not what it should be."""
    lock = Lock()

    def load(name: str) -> Encode | None:
        if folder is None or not _intact(folder, name):
            return None
        with lock, _cache_dir(folder):
            return _encode(name)

    return load


def _intact(folder: Path, name: str) -> bool:
    """tiktoken deletes and downloads a file whose hash is wrong; so it never gets to see one."""
    file, digest = _FILES.get(name, ("", ""))
    path = folder / file
    return bool(file) and path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _encode(name: str) -> Encode | None:
    try:
        import tiktoken
    except ImportError:
        return None
    return tiktoken.get_encoding(name).encode_ordinary


@contextmanager
def _cache_dir(folder: Path) -> Generator[None]:
    """tiktoken takes the folder from the environment only; the user's own value is put back."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
