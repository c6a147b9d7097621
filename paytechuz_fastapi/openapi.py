"""How the endpoint describes itself in OpenAPI: the provider's calls from their models, and the two answers."""

from typing import Any, Final

from paytechuz_core.payme.calls import METHODS


def call_schema(name: str) -> dict[str, Any]:
    """Describe one method's JSON-RPC request."""
    params = METHODS[name].model_json_schema(by_alias=True)
    # Nested models are few and used once each: they stand where they are used.
    definitions = params.pop("$defs", {})
    for member in params.get("properties", {}).values():
        if "$ref" in member:
            member.update(definitions[member.pop("$ref").rpartition("/")[2]])
    return {
        "title": name,
        "type": "object",
        "required": ["method", "params"],
        "properties": {
            "jsonrpc": {"type": "string", "const": "2.0"},
            "id": {"title": "Id", "description": "Echoed unchanged", "examples": [2032]},
            "method": {"type": "string", "const": name},
            "params": params,
        },
    }


ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "jsonrpc": {"type": "string", "const": "2.0"},
        "id": {"title": "Id"},
        "result": {"type": "object"},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "integer"},
                "message": {
                    "type": "object",
                    "required": ["ru", "uz", "en"],
                    "properties": {language: {"type": "string"} for language in ("ru", "uz", "en")},
                },
                "data": {"type": "string"},
            },
        },
    },
    "oneOf": [{"required": ["result"]}, {"required": ["error"]}],
}

PAYME_ROUTE: Final[dict[str, Any]] = {
    "tags": ["payments"],
    "summary": "Payme Merchant API",
    "description": "Called by Payme. Every answer is HTTP 200; errors are in the body. "
    "Authorization is `Basic base64(Paycom:<key of the cash register>)`.",
    "responses": {
        200: {"description": "A result or an error, never both", "content": {"application/json": {"schema": ANSWER}}}
    },
    "openapi_extra": {
        "parameters": [{"name": "Authorization", "in": "header", "required": True, "schema": {"type": "string"}}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": [call_schema(name) for name in METHODS]}}},
        },
    },
}
"""The arguments of the route."""
