"""Where policies come from: presets, files, text, mappings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costopt.errors import PolicyError, Problem
from costopt.policy import Policy
from costopt.policyfile.check import Known, Parts, check
from costopt.policyfile.events import from_yaml
from costopt.policyfile.kinds import BAD, suggest
from costopt.policyfile.shape import POLICY
from costopt.policyfile.tree import Log, Node, from_mapping

DEFAULT = "balanced"
MAX_BYTES = 256 * 1024


def load(
    source: str | Path | Policy | Mapping[str, Any] | None = None, *, known: Known | None = None
) -> Policy:
    """A policy from a preset's name (no slash, no suffix), a file, a mapping with the file's keys, or None
    for `balanced`; a `Policy` is returned as it is. `known` tells which models have a price (default: not asked).

    Raises PolicyError, which lists everything that is wrong.
    """
    if isinstance(source, Policy):
        return source
    if isinstance(source, Mapping):
        log = Log("<mapping>")
        return _policy(from_mapping(source), log, known, name="custom", source="")
    text_source = DEFAULT if source is None else source
    if isinstance(text_source, str) and _is_name(text_source):
        return _load_file(_preset(text_source), known)
    return _load_file(Path(text_source).expanduser(), known)


def parse(text: str, source: str = "<string>", *, known: Known | None = None) -> Policy:
    """A policy from YAML text; `source` is the file name that messages show. Raises PolicyError."""
    log = Log(source)
    return _policy(from_yaml(text, log), log, known, name=Path(source).stem, source=source)


def presets() -> dict[str, Path]:
    """The shipped policies by name: from the installed package, else from the checkout's `policies`."""
    package = Path(__file__).resolve().parent.parent
    folder = next((f for f in (package / "presets", package.parent / "policies") if f.is_dir()), package)
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _is_name(source: str) -> bool:
    return not ("/" in source or "\\" in source or Path(source).suffix)


def _preset(name: str) -> Path:
    found = presets()
    if name in found:
        return found[name]
    hint = (
        f"{suggest(name, found)}; a file needs its suffix or a slash" if found else "write the path of a file"
    )
    raise PolicyError([Problem(name or "''", 0, "", "is not a preset", hint)])


def _load_file(path: Path, known: Known | None) -> Policy:
    return parse(read_text(path), str(path), known=known)


def read_text(path: Path) -> str:
    """The file as text. Raises PolicyError where it is missing, unreadable, above 256 KiB or not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        hint = f"write {path.stem} for the preset" if path.stem in presets() else ""
        raise PolicyError([Problem(str(path), 0, "", f"cannot be read: {reason}", hint)]) from error
    if len(content) > MAX_BYTES:
        raise PolicyError([Problem(str(path), 0, "", "is larger than 256 KiB", "is this a policy?")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyError([Problem(str(path), line, "", "is not UTF-8 text", "save it as UTF-8")]) from None


def _policy(root: Node, log: Log, known: Known | None, *, name: str, source: str) -> Policy:
    if root.kind != "map":
        raise log.stop(root.line, "", f"a policy is a mapping, this is {root.said}", "begin with version: 1")
    values = POLICY.values(root, "", log)
    fine = {key: value for key, value in values.items() if value is not BAD}
    check(Parts(root, fine, log), known)
    if log.found:
        raise log.error()
    del fine["version"]
    return Policy(**fine, name=name, source=source)
