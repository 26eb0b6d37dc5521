"""The door's description in OpenAPI 3.1: FastAPI lays it out, the schemas are those of the verbs' own Structs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from msgspec import Struct

from ohmesh.api.config import ApiConfig
from ohmesh.api.idempotency import HEADER, KEY_CHARACTERS_MAX
from ohmesh.api.problems import MEDIA_TYPE, Problem
from ohmesh.api.routes import CONFIRM, ID_PATTERN, IDS, ONE_ID, QUERY_VALUES_MAX, WAIT, Address
from ohmesh.model.fleet_request import OperationView
from ohmesh.operations.command import Command
from ohmesh.operations.results import TaskOutcome

Schema = dict[str, Any]

# What is answered before its end: what that says, and what Location is.
_UNDER_WAY: dict[type[Struct], tuple[str, str]] = {
    TaskOutcome: ("It is durable and has not ended.", "The task."),
    OperationView: ("It has begun and is not decided.", "The operation."),
}
_REFERENCE = "#/components/schemas/{name}"
_BEARER = {
    "token": {"type": "http", "scheme": "bearer", "description": "The file api-token of the data directory."}
}


class Schemas:
    """The components of all Structs that the door speaks of, and references to them."""

    def __init__(
        self, addresses: Sequence[Address], config: ApiConfig, others: Sequence[type[Struct]]
    ) -> None:
        taken = {address.verb.arguments_type() for address in addresses}
        given = {address.result_type() for address in addresses}
        types: set[type[Struct]] = {*taken, *given, Problem, *others}
        self._types = sorted(types, key=str)
        references, self.components = msgspec.json.schema_components(self._types, ref_template=_REFERENCE)
        self._references = dict(zip(self._types, references, strict=True))
        for one in taken:
            self._bound(one, config)

    def of(self, one: type[Struct]) -> Schema:
        return dict(self._references[one])

    def whole(self, one: type[Struct]) -> Schema:
        """A copy of the component itself."""
        return copy.deepcopy(self.components[self._references[one]["$ref"].rpartition("/")[2]])

    def _bound(self, arguments: type[Struct], config: ApiConfig) -> None:
        """As the door takes them: nothing that is not a parameter, and no wait that is longer than its bound."""
        component = self.components[self._references[arguments]["$ref"].rpartition("/")[2]]
        component["additionalProperties"] = False
        wait = component["properties"].get(WAIT)
        if wait is not None:
            wait["maximum"] = config.wait_max_s
            wait["default"] = min(wait.get("default", 0.0), config.wait_max_s)


def verb_extra(address: Address, schemas: Schemas) -> Schema:
    """What FastAPI cannot know of a verb: its parameters, body and answers."""
    answer = answers(schemas.of(address.result_type()))
    if address.method == "GET":
        return {"parameters": _query(address, schemas), "responses": answer}
    if (under_way := _UNDER_WAY.get(address.verb.result_type())) is not None:
        description, place = under_way
        answer["202"] = {
            "description": description,
            "headers": {"Location": {"description": place, "schema": {"type": "string"}}},
            "content": {"application/json": {"schema": schemas.of(address.verb.result_type())}},
        }
    body = _body(address.verb, schemas)
    needed = body.get("required") or schemas.whole(address.verb.arguments_type()).get("required")
    return {
        "parameters": [key_parameter()],
        "requestBody": {
            "required": bool(needed),
            "content": {"application/json": {"schema": body}},
        },
        "responses": answer,
    }


def answers(schema: Schema, *, media_type: str = "application/json") -> Schema:
    """200 with this schema, anything else a problem."""
    problem = {"$ref": _REFERENCE.format(name=Problem.__name__)}
    return {
        "200": {"description": "Done.", "content": {media_type: {"schema": schema}}},
        "default": {
            "description": "Refused; `type` is the address of a page about `code`.",
            "content": {MEDIA_TYPE: {"schema": problem}},
        },
    }


def key_parameter() -> Schema:
    return {
        "name": HEADER,
        "in": "header",
        "required": False,
        "description": "The same key with the same request is done once and answered alike.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": KEY_CHARACTERS_MAX,
            "pattern": "^[A-Za-z0-9_-]+$",
        },
    }


def describe(application: FastAPI, schemas: Schemas) -> Schema:
    """All of it; everything but public pages wants the token."""
    document = FastAPI.openapi(application)
    components = document.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **schemas.components}
    components["securitySchemes"] = _BEARER
    document["security"] = [{"token": []}]
    return document


def _query(address: Address, schemas: Schemas) -> list[Schema]:
    """Each field as a parameter; what is one value of the path is named so."""
    component = schemas.whole(address.verb.arguments_type())
    required = set(component.get("required", ()))
    parameters = []
    for name, schema in component["properties"].items():
        is_one_id = address.is_item and name == IDS
        in_path = is_one_id or name == address.in_path
        shape = schema["items"] if is_one_id else schema
        description = schema.pop("description", "")
        if name == IDS:
            schema["items"]["pattern"] = ID_PATTERN
        if schema.get("type") == "array":
            schema["maxItems"] = min(schema.get("maxItems", QUERY_VALUES_MAX), QUERY_VALUES_MAX)
        parameters.append(
            {
                "name": ONE_ID if is_one_id else name,
                "in": "path" if in_path else "query",
                "required": in_path or name in required,
                "description": description,
                "schema": {**shape, "pattern": ID_PATTERN} if in_path else shape,
            }
        )
    return parameters


def _body(verb: Command, schemas: Schemas) -> Schema:
    component = schemas.whole(verb.arguments_type())
    if not verb.confirmation:
        return schemas.of(verb.arguments_type())
    component["properties"][CONFIRM] = {
        "const": True,
        "description": "That you are sure; without it nothing is done.",
    }
    component["required"] = [*component.get("required", ()), CONFIRM]
    component.pop("title", None)
    return component
