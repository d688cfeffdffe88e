"""The description of the API: OpenAPI 3.1, out of the endpoints, their parameters and the types of their answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from instrument._version import __version__

if TYPE_CHECKING:
    from instrument_cli.web.api import Endpoint
    from instrument_cli.web.parameters import Parameter

_ERRORS = {
    "400": "A parameter is wrong; the answer says which, and what to give.",
    "401": "The token is missing.",
    "404": "There is no such query.",
    "421": "The Host header is not a name of this server.",
    "503": "The store cannot be read, or too many requests are being answered.",
}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The OpenAPI document of these endpoints."""
    endpoints = list(endpoints)
    types = [endpoint.answer for endpoint in endpoints]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "agent-instrument",
            "version": __version__,
            "description": "What agents did, read from the store. Times are milliseconds, rates 0 to 1.",
        },
        "paths": {
            endpoint.path: {"get": _operation(endpoint, schema)}
            for endpoint, schema in zip(endpoints, schemas, strict=True)
        },
        "components": {
            "schemas": {**components, "Error": error},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(endpoint: Endpoint, schema: dict[str, Any]) -> dict[str, Any]:
    in_path = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}] * (
        "{id}" in endpoint.path
    )
    return {
        "summary": endpoint.summary,
        "operationId": endpoint.path.strip("/").replace("/", "_").replace("{", "").replace("}", ""),
        "parameters": [*in_path, *map(_parameter, endpoint.parameters)],
        "responses": {
            "200": {"description": endpoint.summary, "content": _json(schema)},
            **{
                status: {"description": text, "content": _json({"$ref": "#/components/schemas/Error"})}
                for status, text in _ERRORS.items()
            },
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = {"type": "array", "items": parameter.schema} if parameter.is_list else parameter.schema
    return {"name": parameter.name, "in": "query", "description": parameter.help, "schema": schema}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
