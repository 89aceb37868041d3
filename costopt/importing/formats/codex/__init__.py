"""Session logs of the Codex CLI."""

from costopt.importing.formats.codex.sessions import read

__all__ = ["read"]
