"""The OpenAPI document of a server, made of the table of its operations."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from he.service import bodies, problems
from he.service.operations import OPERATIONS, Operation

PATH = "/v1/openapi.json"
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "64 hexadecimal digits."}
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}
_PARAMETERS = {"model": _NAME, "keys": _DIGEST, "network": _DIGEST}
_COUNT, _INTEGER, _NUMBER = {"type": "integer", "minimum": 0}, {"type": "integer"}, {"type": "number"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


_SCHEMAS = {
    "Health": _object(status={"const": "ok"}),
    "Text": {"type": "string"},
    "Message": {"type": "string", "format": "binary", "description": "A message of the toolkit."},
    "Models": _object(models=_list(_object(name=_NAME, circuit=_DIGEST))),
    "Permission": _object(keys=_DIGEST, number=_COUNT, expires=_COUNT),
    "Keys": _object(keys=_DIGEST, circuit=_DIGEST, bytes=_COUNT),
    "Problem": _object(title={"type": "string"}, status=_INTEGER, detail={"type": "string"}),
    "Card": _object(
        name=_NAME,
        circuit=_DIGEST,
        commitment=_DIGEST,
        scheme={"enum": ["bfv", "ckks"]},
        security={"type": "string"},
        poly_modulus_degree=_COUNT,
        coeff_modulus_bits=_list(_COUNT),
        plain_moduli=_list(_COUNT),
        input=_object(shape=_list(_COUNT), low=_NUMBER, high=_NUMBER, scale={"type": ["number", "null"]}),
        images=_COUNT,
        units=_NUMBER,
        outputs=_COUNT,
        max_error=_NUMBER,
        range_guards=_COUNT,
        rerandomises={"type": "boolean"},
        encrypted={"type": "boolean"},
        key_bytes=_COUNT,
        most_key_bytes=_COUNT,
        most_request_bytes=_COUNT,
        most_evaluations=_COUNT,
    ),
}


def document() -> dict[str, Any]:
    """Return the document, OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Encrypted inference", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    responses = {str(status): _answer(status, content) for status, content in operation.answers.items()}
    responses |= {str(status): _answer(status, (problems.MEDIA_TYPE, "Problem")) for status in operation.statuses}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]}
            for name in re.findall(r"{(\w+)}", operation.path)
        ],
        "responses": responses,
    }
    if operation.secured:
        described["security"] = [{"token": []}]
    if operation.body:
        content = {bodies.MEDIA_TYPE: {"schema": _reference("Message")}}
        described["requestBody"] = {"description": operation.body, "required": True, "content": content}
    return described


def _answer(status: int, content: tuple[str, str] | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if content is not None:
        media_type, schema = content
        answer["content"] = {media_type: {"schema": _reference(schema)}}
    return answer


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
