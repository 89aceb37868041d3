"""A mapping with named fields: the kind that a policy file is mostly made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from costopt.policyfile.kinds import BAD, SKIP, Kind, bad, suggest
from costopt.policyfile.tree import Log, Node
from costopt.policyfile.units import Wrong
from costopt.types import Json


class Field(Struct, frozen=True):
    kind: Kind
    doc: str
    required: bool = False


Values = dict[str, Any]


class Block(Struct, frozen=True):
    """Named fields, made into a value by `build`, which raises `Wrong` where fields do not fit together."""

    build: Callable[..., Any]
    fields: dict[str, Field]

    def read(self, node: Node, key: str, log: Log) -> Any:
        if node.kind != "map":
            first = next(iter(self.fields))
            return bad(
                log, node, key, f"{node.said} is not a mapping", f"write keys such as {first}: below it"
            )
        values = self.values(node, key, log)
        if BAD in values.values():
            return BAD
        try:
            return self.build(**{name: value for name, value in values.items() if value is not SKIP})
        except Wrong as wrong:
            dotted = f"{key}.{wrong.key}" if wrong.key else key
            return bad(log, node.entries.get(wrong.key, node), dotted, str(wrong), wrong.hint)

    def values(self, node: Node, key: str, log: Log) -> Values:
        """Every key's value; BAD under a key that is wrong, missing or unknown."""
        values: Values = {}
        for name, child in node.entries.items():
            dotted = f"{key}.{name}" if key else name
            field = self.fields.get(name)
            if field is None:
                values[name] = bad(log, child, dotted, "is not a key here", suggest(name, self.fields))
            else:
                values[name] = field.kind.read(child, dotted, log)
        for name in self.missing(node):
            values[name] = bad(log, node, key, f"{name} is missing", f"add {name}:")
        return values

    def missing(self, node: Node) -> list[str]:
        return [name for name, field in self.fields.items() if field.required and name not in node.entries]

    def schema(self) -> Json:
        schema: Json = {
            "type": "object",
            "additionalProperties": False,
            "properties": {n: {"description": f.doc, **f.kind.schema()} for n, f in self.fields.items()},
        }
        required = [name for name, field in self.fields.items() if field.required]
        return {**schema, "required": required} if required else schema
