"""Every error speaks three languages, and the merchant may choose the words."""

from collections.abc import Mapping
from typing import Any

import pytest

from paytechuz_core import ConfigurationError, Payme, Refused
from paytechuz_core.payme.errors import ERRORS, LANGUAGES, Error
from tests.core.wire import KEY, PAYME, call, check_perform, create, post, rejection, sent

# The provider's lists: protocol, general and method errors.
OFFICIAL = {-32300, -32700, -32600, -32601, -32504, -32400, -31001, -31003, -31007, -31008, -32001, -32602}


def test_the_table_is_the_provider_s_list_and_four_of_the_account_range() -> None:
    codes = [error.code for error in ERRORS]
    assert len(codes) == len(set(codes))
    assert set(codes) == OFFICIAL | {-31050, -31051, -31052, -31099}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.code))
def test_every_error_has_its_own_words_in_russian_uzbek_and_english(error: Error) -> None:
    assert sent(error) == {"code": error.code, "message": {"ru": error.ru, "uz": error.uz, "en": error.en}}
    assert len(set(error.message.values())) == len(LANGUAGES)
    assert any("а" <= letter <= "я" for letter in error.ru)
    assert error.en.isascii()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_errors_say_the_same(language: str) -> None:
    assert len({error.message[language] for error in ERRORS}) == len(ERRORS)


@pytest.mark.parametrize("message", [{}, {"de": "Nein"}, {"en": 1}], ids=str)
def test_a_refusal_without_words_that_a_payer_could_read_is_a_mistake(message: Any) -> None:
    with pytest.raises(ValueError, match=r"^a refusal's message must be a text, or texts under 'ru', 'uz' and 'en'$"):
        Refused(message)


def gateway(messages: Mapping[int, Mapping[str, str]], **settings: Any) -> Payme:
    return Payme(keys=lambda: (KEY,), fields=("order_id",), messages=messages, **settings)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.code))
def test_the_merchant_may_word_any_error_in_any_language(error: Error) -> None:
    worded = gateway({error.code: {"uz": "Boshqacha"}})
    assert sent(error, worded)["message"] == {"ru": error.ru, "uz": "Boshqacha", "en": error.en}
    for other in ERRORS:
        if other.code != error.code:
            assert sent(other, worded)["message"] == other.message


def test_the_merchant_may_word_an_error_in_all_languages() -> None:
    words = {"ru": "Нет", "uz": "Yo‘q", "en": "No"}
    assert sent(ERRORS[0], gateway({ERRORS[0].code: words}))["message"] == words


def test_a_rejected_request_is_told_in_the_merchant_s_words_too() -> None:
    error = rejection(post(b"{}", authorization=None), gateway({-32504: {"en": "Who are you?"}}))
    assert error["message"]["en"] == "Who are you?"


@pytest.mark.parametrize("code", [-31099, -31050])
def test_what_a_hook_says_is_never_replaced(code: int) -> None:
    """The merchant's general words for −31050 must not cover what this refusal says."""
    worded = gateway({-31050: {"en": "No such order"}, -31099: {"en": "Refused"}})
    reply = worded.refuse(call(create()), Refused({"en": "Sold out", "ru": "Продано"}, code))
    assert sent(reply, worded)["message"] == {"ru": "Продано", "uz": "Sold out", "en": "Sold out"}


@pytest.mark.parametrize(
    "messages",
    [{-31000: {"en": "x"}}, {-31001: {"de": "x"}}, {-31001: {"en": "x"}, 0: {}}, {-31060: {"en": "x"}}],
    ids=str,
)
def test_words_for_an_error_that_does_not_exist_are_refused_at_start(messages: dict[int, dict[str, str]]) -> None:
    with pytest.raises(ConfigurationError, match=r"^messages must be") as caught:
        gateway(messages)
    assert caught.value.setting == "messages"


@pytest.mark.parametrize("fields", [(), ("",), ("order_id", ""), "order_id"])
def test_a_cash_register_has_account_fields(fields: Any) -> None:
    """A text is a tuple of letters to Python: `fields="id"` would ask for the fields `i` and `d`."""
    with pytest.raises(ConfigurationError, match=r"^account_field must name") as caught:
        Payme(keys=lambda: (KEY,), fields=fields)
    assert caught.value.setting == "account_field"


@pytest.mark.parametrize("code", [-31052, -31050, 0, -31099])
def test_a_held_order_is_one_of_two_errors(code: int) -> None:
    with pytest.raises(ConfigurationError, match="held_code must be -31051 or -31008") as caught:
        gateway({}, held_code=code)
    assert caught.value.setting == "held_code"


# What a merchant's hook may say


@pytest.mark.parametrize("code", [-31099, -31075, -31050])
def test_a_refusal_has_a_code_of_the_account_range(code: int) -> None:
    assert Refused("No", code).code == code


@pytest.mark.parametrize("code", [-31100, -31049, -32504, -31008, 0, 31050])
def test_a_refusal_with_any_other_code_is_a_bug(code: int) -> None:
    with pytest.raises(ValueError, match="from -31050 to -31099"):
        Refused("No", code)


@pytest.mark.parametrize(
    ("message", "texts"),
    [
        ("No", {"ru": "No", "uz": "No", "en": "No"}),
        ({"ru": "Нет"}, {"ru": "Нет", "uz": "Нет", "en": "Нет"}),
        ({"uz": "Yo‘q", "en": "No"}, {"ru": "Yo‘q", "uz": "Yo‘q", "en": "No"}),
    ],
)
def test_a_refusal_is_heard_in_every_language(message: str | dict[str, str], texts: dict[str, str]) -> None:
    refused = Refused(message)
    assert refused.message == texts
    assert str(refused) == texts["en"]


@pytest.mark.parametrize("message", [{}, {"de": "Nein"}, {"en": "No", "de": "Nein"}, {"en": None}, {"ru": 5}])
def test_a_refusal_that_says_nothing_is_a_bug(message: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must be a text"):
        Refused(message)


def test_a_refusal_does_not_change_when_its_texts_do() -> None:
    texts = {"en": "No"}
    refused = Refused(texts)
    texts["en"] = "Yes"
    assert refused.message["en"] == "No"


@pytest.mark.parametrize("message", ["broken \ud800 text", {"en": "\udfff"}])
def test_a_refusal_that_cannot_be_sent_is_still_an_answer(message: str | dict[str, str]) -> None:
    """A lone surrogate is no UTF-8; it may reach a hook from a file name or a broken import."""
    assert sent(PAYME.refuse(call(check_perform()), Refused(message)))["code"] == -31099
