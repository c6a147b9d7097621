"""How the endpoint describes itself in OpenAPI: the providers' calls from their models, and the answers."""

from typing import Any, Final

from paytechuz_core.click.calls import AMOUNT, COMPLETE, NUMBER, PREPARE, REQUIRED
from paytechuz_core.click.codes import Code
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
"""The arguments of Payme's route."""

CLICK_NUMBER: Final[dict[str, Any]] = {"type": "string", "pattern": f"^({NUMBER.pattern})$", "examples": ["1234567890"]}

CLICK_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "required": list(REQUIRED),
    "properties": {
        **{name: {"type": "string"} for name in REQUIRED},
        **dict.fromkeys(("click_trans_id", "service_id", "click_paydoc_id"), CLICK_NUMBER),
        "error": {"type": "string", "pattern": "^(0|-[0-9]{1,9})$", "description": "0, or negative where Click aborts"},
        "amount": {
            "type": "string",
            "pattern": f"^{AMOUNT.pattern}$",
            "description": "Som, at most two digits after the point",
            "examples": ["5000.00"],
        },
        "action": {"type": "string", "enum": [PREPARE, COMPLETE], "description": "0 Prepare, 1 Complete"},
        "merchant_prepare_id": {**CLICK_NUMBER, "description": "Complete only: what Prepare answered"},
        "error_note": {"type": "string"},
    },
}

CLICK_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["click_trans_id", "merchant_trans_id", "error", "error_note"],
    "properties": {
        "click_trans_id": {"type": "integer"},
        "merchant_trans_id": {"type": "string"},
        "merchant_prepare_id": {"type": "integer"},
        "merchant_confirm_id": {"type": ["integer", "null"]},
        "error": {"type": "integer", "enum": [code.number for code in Code]},
        "error_note": {"type": "string"},
    },
}

CLICK_ROUTE: Final[dict[str, Any]] = {
    "tags": ["payments"],
    "summary": "Click SHOP API",
    "description": "Called by Click: Prepare, then Complete. Every answer is HTTP 200; `error` is 0 or negative. "
    "`sign_string` is an MD5 over the signed fields and the secret key.",
    "responses": {
        200: {"description": "The result", "content": {"application/json": {"schema": CLICK_ANSWER}}},
    },
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": CLICK_FORM}}},
    },
}
"""The arguments of Click's route."""
