"""Check requests and answers against Discord's own OpenAPI description.

It does not know every rule (2000 characters, empty messages, all that depends on state); the
stand-in knows those.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DESCRIPTION: Final = Path(__file__).parent / "data" / "discord-openapi.json.gz"
_URI = "urn:discord"
_ID_LISTS = frozenset({"messages", "users", "roles", "sticker_ids", "applied_tags"})


@dataclass(frozen=True, slots=True)
class Description:
    """The description and the means to look things up in it."""

    paths: dict[str, Any]
    registry: Registry[Any]

    def template(self, path: str) -> str:
        """Return the described path that *path* is an instance of, the most literal one."""
        parts = path.removeprefix("/api/v10").split("?")[0].strip("/").split("/")
        found = [name for name in self.paths if _matches(name.strip("/").split("/"), parts)]
        assert found, f"Discord describes no path {path}"
        return min(found, key=lambda name: name.count("{"))

    def validate(self, pointer: list[str], value: object) -> str | None:
        """Return the fault of *value* by the schema at *pointer*, or None."""
        escaped = "/".join(
            quote(part.replace("~", "~0").replace("/", "~1"), safe="~") for part in pointer
        )
        validator = Draft202012Validator({"$ref": f"{_URI}#/{escaped}"}, registry=self.registry)
        error = best_match(validator.iter_errors(value))
        return None if error is None else f"{error.json_path}: {error.message[:300]}"


@cache
def description() -> Description:
    """Return the description."""
    spec = json.loads(gzip.decompress(DESCRIPTION.read_bytes()))
    resource = Resource.from_contents(spec, default_specification=DRAFT202012)
    return Description(spec["paths"], Registry().with_resource(_URI, resource))


def _matches(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        wanted == part or wanted.startswith("{")
        for wanted, part in zip(template, parts, strict=True)
    )


def with_string_ids(value: Any, key: str = "", inside: str = "") -> Any:
    """Return *value* with integer ids as strings: Discord takes both, the schemas strings only."""
    if isinstance(value, dict):
        return {name: with_string_ids(item, name, key) for name, item in value.items()}
    if isinstance(value, list):
        # The list's own name says what its items are; a dictionary in it knows it as `inside`.
        return [with_string_ids(item, key, inside) for item in value]
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    # Components have small numbers of their own as `id`; those of attachments are snowflakes.
    own_id = key == "id" and (value >= 1 << 22 or inside == "attachments")
    return str(value) if own_id or key.endswith("_id") or key in _ID_LISTS else value


def _operation(method: str, path: str) -> tuple[Description, list[str], dict[str, Any]]:
    spec = description()
    template = spec.template(path)
    operation = spec.paths[template].get(method.lower())
    assert operation is not None, f"Discord describes no {method} {template}"
    return spec, ["paths", template, method.lower()], operation


def body_schema(method: str, path: str) -> Any:
    """Return the schema of a JSON body, {} for a request without one."""
    _, _, operation = _operation(method, path)
    content = operation.get("requestBody", {}).get("content", {"application/json": {}})
    return content.get("application/json", {}).get("schema", {})


def query_names(method: str, path: str) -> set[str]:
    """Return the described parameters of the query."""
    _, _, operation = _operation(method, path)
    return {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}


def subschemas(schema: Any, name: str) -> list[Any]:
    """Return the schemas of the field *name* in the objects that *schema* allows."""
    return [
        found["properties"][name]
        for found in _alternatives(schema)
        if name in found.get("properties", {})
    ]


def _alternatives(schema: Any) -> list[Any]:
    """Return *schema* and all those that it refers to, combines or has as the items of a list."""
    while "$ref" in schema:
        schema = description().registry.resolver(_URI).lookup(_URI + schema["$ref"]).contents
    inner = [one for key in ("allOf", "anyOf", "oneOf") for one in schema.get(key, [])]
    inner += [schema["items"]] if "items" in schema else []
    return [schema, *(found for one in inner for found in _alternatives(one))]


def check_request(method: str, path: str, body: object) -> None:
    """Raise AssertionError if *body* (for a multipart request its payload_json) is not allowed."""
    spec, pointer, operation = _operation(method, path)
    described = operation.get("requestBody")
    if described is None or (body is None and not described.get("required")):
        assert not body, f"{method} {path} takes no body"
        return
    kinds = described["content"]
    kind = "application/json" if "application/json" in kinds else next(iter(kinds))
    where = [*pointer, "requestBody", "content", kind, "schema"]
    problem = spec.validate(where, with_string_ids(body))
    assert problem is None, f"{method} {path}: request {problem}"


def check_response(method: str, path: str, status: int, body: object) -> None:
    """Raise AssertionError if Discord would not answer *status* with *body*."""
    spec, pointer, operation = _operation(method, path)
    responses = operation["responses"]
    name = str(status) if str(status) in responses else f"{status // 100}XX"
    assert name in responses, f"{method} {path} is never answered with {status}"
    where = [*pointer, "responses", name]
    reference = responses[name].get("$ref")
    described = responses[name]
    if reference is not None:
        where = reference.removeprefix("#/").split("/")
        described = {"content": {"application/json": {}}}
    if "content" not in described:
        assert body is None, f"{method} {path}: {status} has no body"
        return
    problem = spec.validate([*where, "content", "application/json", "schema"], body)
    assert problem is None, f"{method} {path}: {status} {problem}"
