"""Where policies come from: presets, files, text, mappings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
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
    source: str | Path | Policy | Mapping[str, Any] | None = None,
    *,
    known: Known | None = None,
    names: Collection[str] = (),
) -> Policy:
    """A policy from a preset's name (no slash, no suffix), a file, a mapping with the file's keys, or None
    for `balanced`; a `Policy` is returned as it is.

    `known` tells which models have a price (None: not asked); `names` are offered where one has not.
    Raises PolicyError, which lists everything that is wrong.
    """
    if isinstance(source, Policy):
        return source
    if isinstance(source, Mapping):
        log = Log("<mapping>")
        root = from_mapping(source)
        return _policy(root, log, name="custom", source="", known=known, names=names)
    if source is not None and not isinstance(source, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance] - why: users are not all typed
        kind = type(source).__name__
        raise PolicyError(f"a policy is a preset's name, a file, a mapping or a Policy, not {kind}")
    path = _locate(DEFAULT if source is None else source)
    return parse(read_text(path), str(path), known=known, names=names)


def parse(
    text: str, source: str = "<string>", *, known: Known | None = None, names: Collection[str] = ()
) -> Policy:
    """A policy from YAML text; `source` is the file name that messages show. Otherwise as `load`."""
    log = Log(source)
    root = from_yaml(text, log)
    return _policy(root, log, name=Path(source).stem, source=source, known=known, names=names)


def presets() -> dict[str, Path]:
    """The shipped policies by name: from the installed package, else from the checkout's `policies`."""
    package = Path(__file__).resolve().parent.parent
    folder = next((f for f in (package / "presets", package.parent / "policies") if f.is_dir()), package)
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _locate(source: str | Path) -> Path:
    if isinstance(source, Path) or "/" in source or "\\" in source or Path(source).suffix:
        with suppress(RuntimeError):  # no such home folder: no such file
            return Path(source).expanduser()
        return Path(source)
    found = presets()
    if source in found:
        return found[source]
    hint = f"{suggest(source, found)}; a file needs its suffix or a slash" if found else "write a file's path"
    raise PolicyError([Problem(source or "''", 0, "", "is not a preset", hint)])


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


def _policy(
    root: Node, log: Log, *, name: str, source: str, known: Known | None, names: Collection[str]
) -> Policy:
    if root.kind != "map":
        raise log.stop(root.line, "", f"a policy is a mapping, this is {root.said}", "begin with version: 1")
    values = POLICY.values(root, "", log)
    fine = {key: value for key, value in values.items() if value is not BAD}
    check(Parts(root, fine, log), known, names)
    if log.found:
        raise log.error()
    del fine["version"]
    return Policy(**fine, name=name, source=source)
