"""Which requests are Click's: the signature over the raw strings, strict forms, and the order of refusals."""

import string
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paytechuz_core import ConfigurationError
from paytechuz_core.click import Click
from paytechuz_core.click.calls import Call
from paytechuz_core.decision import Rejected, Snapshot
from tests import SIZE
from tests.core.click_wire import (
    CLICK,
    SECRET,
    SERVICE,
    TIME,
    TRANS,
    Answer,
    Form,
    call,
    complete,
    encoded,
    post,
    prepare,
    prepare_id,
    read,
    rejected,
    signature,
)
from tests.core.wire import NOW, ORDER

SIGNED: Final = ("click_trans_id", "service_id", "merchant_trans_id", "amount", "action", "sign_time")
REQUIRED: Final = (*SIGNED, "click_paydoc_id", "error", "sign_string")
NUMBERS: Final = ("click_trans_id", "service_id", "click_paydoc_id", "merchant_prepare_id")


def heard(sent: Form, gateway: Click = CLICK) -> bool:
    """A form that becomes a call does so with every string as it was."""
    return call(sent, gateway).form == sent


def outcome(body: bytes) -> Call | Answer:
    """The call that a body is, or the answer to what is none."""
    try:
        return CLICK.parse(post(body))
    except Rejected as refusal:
        return read(refusal.body)


# The signature

VECTORS: Final = [
    ("2516eaf588c374aab311f48ab854ffa2", {"action": "0", "amount": "1000.00"}),
    ("48257f89a8562eee1930160df3d74078", {"action": "0", "amount": "1000"}),
    ("927273de5fd6ef4f8e3c3be44e45158d", {"action": "1", "amount": "1000.00", "merchant_prepare_id": "501"}),
    ("e85e9e5468fcb90f05af0d4953dc37c5", {"action": "0", "amount": "1000.00", "merchant_trans_id": "заказ-№7"}),
    (
        "cd015559b0abd88878a694ac7e2f9e18",
        {"action": "1", "amount": "1000.5", "merchant_prepare_id": "2", "click_trans_id": "9223372036854775807"},
    ),
    ("bbe20260d63b0329a18d36277cff5be4", {"action": "0", "amount": "500", "click_trans_id": "9007199254740993"}),
]


@pytest.mark.parametrize(("digest", "fields"), VECTORS, ids=[digest[:8] for digest, _ in VECTORS])
def test_the_published_formula_gives_these_digests(digest: str, fields: Form) -> None:
    gateway = replace(CLICK, secrets=lambda: ("TESTSECRET",))
    sent = {**prepare("TESTSECRET", merchant_trans_id="ORD-77"), **fields, "sign_string": digest}
    assert call(sent, gateway).form == sent
    assert rejected({**sent, "sign_string": digest[:-1] + ("0" if digest[-1] != "0" else "1")}, gateway)["error"] == -1


@pytest.mark.parametrize("make", [prepare, complete])
def test_a_digest_may_be_written_in_capitals(make: Any) -> None:
    sent = make()
    assert heard({**sent, "sign_string": sent["sign_string"].upper()})


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("click_trans_id", str(TRANS + 1)),
        ("service_id", str(SERVICE + 1)),
        ("merchant_trans_id", "43"),
        ("merchant_trans_id", "42 "),
        ("amount", "5000.0"),
        ("amount", "5000"),
        ("amount", "1"),
        ("amount", "05000.00"),
        ("action", "7"),
        ("sign_time", "2026-01-15 10:20:31"),
        ("sign_time", "2026-01-15T10:20:30"),
    ],
)
@pytest.mark.parametrize("make", [prepare, complete])
def test_the_raw_text_of_every_signed_field_is_signed(make: Any, field: str, other: str) -> None:
    assert rejected({**make(), field: other})["error"] == -1


def test_a_prepare_is_no_complete_and_another_prepare_id_is_another_signature() -> None:
    sent = complete()
    assert rejected({**sent, "action": "0"})["error"] == -1
    assert rejected({**prepare(), "action": "1", "merchant_prepare_id": sent["merchant_prepare_id"]})["error"] == -1
    assert rejected({**sent, "merchant_prepare_id": "501"})["error"] == -1


@pytest.mark.parametrize(("field", "other"), [("click_paydoc_id", "1"), ("error", "-5017"), ("error_note", "")])
@pytest.mark.parametrize("make", [prepare, complete])
def test_the_payments_number_and_the_error_are_not_signed(make: Any, field: str, other: str) -> None:
    assert call({**make(), field: other}).form[field] == other


def test_a_prepare_id_in_a_prepare_is_not_part_of_its_text() -> None:
    sent = prepare()
    assert call({**sent, "merchant_prepare_id": "501"}).action == "0"


@pytest.mark.parametrize("given_", ["", "0", "x" * 32, "ключ", SECRET, "0" * 33, "e" * 5000, "\u212a"])
def test_nothing_else_passes_for_a_signature(given_: str) -> None:
    assert rejected({**prepare(), "sign_string": given_})["error"] == (-1 if given_ else -8)


@pytest.mark.parametrize("secrets", [(), ("",), ("", "")])
@pytest.mark.parametrize("make", [prepare, complete])
def test_a_service_without_a_secret_hears_nobody(make: Any, secrets: tuple[str, ...]) -> None:
    gateway = replace(CLICK, secrets=lambda: secrets)
    assert rejected(make(""), gateway)["error"] == -1
    assert rejected(make(), gateway)["error"] == -1


def test_while_secrets_rotate_each_of_them_is_good_and_none_before() -> None:
    valid = ["old"]
    gateway = replace(CLICK, secrets=lambda: valid)
    assert heard(prepare("old"), gateway)
    assert rejected(prepare("new"), gateway)["error"] == -1
    valid.append("new")
    assert heard(prepare("old"), gateway)
    assert heard(prepare("new"), gateway)
    valid.remove("old")
    assert rejected(prepare("old"), gateway)["error"] == -1


def test_a_secret_may_be_of_any_letters() -> None:
    assert heard(prepare("ключ №1"), replace(CLICK, secrets=lambda: ("ключ №1",)))


@given(st.sampled_from((prepare, complete)), st.data())
def test_no_letter_of_what_is_signed_can_be_changed(make: Any, data: st.DataObject) -> None:
    sent = make()
    field = data.draw(st.sampled_from((*SIGNED, "sign_string")))
    place = data.draw(st.integers(0, len(sent[field]) - 1))
    letter = data.draw(st.sampled_from(string.digits + ".-: aZ").filter(lambda new: new != sent[field][place]))
    changed = sent[field][:place] + letter + sent[field][place + 1 :]
    assert rejected({**sent, field: changed})["error"] in (-1, -8)


@pytest.mark.parametrize(
    ("trans", "service"),
    [
        (str(TRANS // 10), "0" + str(SERVICE)),
        ("0" + str(TRANS), str(SERVICE)),
        ("00", str(SERVICE)),
        ("1" * 19, "012345"),
    ],
)
def test_a_number_has_one_spelling_so_that_the_signed_digits_can_be_read_in_one_way_only(
    trans: str, service: str
) -> None:
    """Attempt 12340 of service 567 signs as attempt 1234 of service 0567."""
    assert rejected(prepare(click_trans_id=trans, service_id=service))["error"] == -8


@settings(max_examples=20 * SIZE)
@given(
    st.integers(1, 10**12), st.sampled_from(("42", "7", "1", "420")), st.sampled_from(("5000.00", "345", "10", "100.5"))
)
def test_of_all_ways_to_cut_one_signed_text_the_service_and_the_attempt_are_the_same(
    trans: int, order: str, amount: str
) -> None:
    text, rest = f"{trans}{SERVICE}", order + amount
    sent = prepare(click_trans_id=trans, merchant_trans_id=order, amount=amount)
    calls = []
    for cut in range(1, len(text)):
        for other in range(1, len(rest)):
            forged = {
                **sent, "click_trans_id": text[:cut], "service_id": text[cut:],
                "merchant_trans_id": rest[:other], "amount": rest[other:],
            }  # fmt: skip
            assert signature(forged) == sent["sign_string"]
            match outcome(encoded(forged)):
                case Call() as each:
                    calls.append(each)
                case refusal:
                    assert refusal["error"] == -8
    assert {each.click_trans_id for each in calls} == {trans}
    # Order and amount can be cut elsewhere, hence both are compared with what the attempt was prepared with.
    assert (order, amount) in {(each.order, each.form["amount"]) for each in calls}


# The order of refusals


def test_requests_are_refused_for_their_form_then_signature_then_action_then_service() -> None:
    """Start with everything wrong, and mend one thing after another."""
    gateway = replace(CLICK, action=0)
    wrong: dict[str, Any] = {"action": "7", "service_id": SERVICE + 1, "sign_string": "0" * 32}
    steps = [
        rejected(post(encoded(prepare(error="x", **wrong)), "PUT"), gateway),
        rejected(prepare(error="x", **wrong), gateway),
        rejected(prepare(**wrong), gateway),
        rejected(prepare(action="7", service_id=SERVICE + 1), gateway),
        rejected(prepare(action="1", service_id=SERVICE + 1, merchant_prepare_id=1), gateway),
        rejected(prepare(service_id=SERVICE + 1), gateway),
    ]
    assert [answer["error"] for answer in steps] == [-8, -8, -1, -3, -3, -8]
    assert heard(prepare(), gateway)


@pytest.mark.parametrize(("action", "hears", "refuses"), [(0, prepare, complete), (1, complete, prepare)])
def test_a_url_of_one_action_knows_no_other(action: int, hears: Any, refuses: Any) -> None:
    gateway = replace(CLICK, action=action)
    assert call(hears(), gateway).action == str(action)
    assert rejected(refuses(), gateway)["error"] == -3
    assert rejected({**refuses(), "sign_string": "0" * 32}, gateway)["error"] == -1


@pytest.mark.parametrize("action", ["2", "00", "01", "-1", "1.0", "prepare", " 1", "²"])
def test_an_action_that_is_neither_is_refused_only_with_a_good_signature(action: str) -> None:
    assert rejected(prepare(action=action))["error"] == -3
    assert rejected({**prepare(action=action), "sign_string": "0" * 32})["error"] == -1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post"])
@pytest.mark.parametrize("make", [prepare, complete])
def test_only_post_is_heard(make: Any, method: str) -> None:
    assert rejected(post(encoded(make()), method))["error"] == -8


# Forms


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("field", REQUIRED)
@pytest.mark.parametrize("make", [prepare, complete])
def test_no_field_may_be_missing_or_empty(make: Any, field: str, value: str | None) -> None:
    sent = make() if field == "sign_string" else make(**{field: value} if field != "click_trans_id" else {})
    if value is None:
        sent.pop(field, None)
    else:
        sent[field] = value
    assert rejected(sent)["error"] == -8


def test_only_a_complete_needs_a_prepare_id_and_nothing_needs_a_note() -> None:
    assert rejected(complete(merchant_prepare_id=None))["error"] == -8
    assert rejected(complete(merchant_prepare_id=""))["error"] == -8
    for make in (prepare, complete):
        assert heard(make(error_note=None))
        assert heard(make(error_note=""))


@pytest.mark.parametrize("field", [*REQUIRED, "error_note", "unknown"])
@pytest.mark.parametrize("second", ["the same", "another"])
def test_a_field_that_comes_twice_is_refused_whatever_it_says(field: str, second: str) -> None:
    sent = {**prepare(), "unknown": "1"}
    twice = encoded(sent) + b"&" + encoded({field: sent[field] if second == "the same" else "1"})
    assert rejected(twice)["error"] == -8
    assert rejected(encoded(sent) + b"&" + quote(field).replace("_", "%5F").encode() + b"=1")["error"] == -8


WRONG_NUMBERS: Final = (
    "x", "-1", "+1", " 1", "1 ", "1\n", "1.0", "1e3", "0x1", "1_000", "²", "٣", "007", "00", str(2**63), "9" * 19,
    "9" * 20, "9" * 5000, "nan", "None", "true",
)  # fmt: skip


@pytest.mark.parametrize("value", WRONG_NUMBERS, ids=lambda value: ascii(value[:24]))
@pytest.mark.parametrize("field", NUMBERS)
def test_an_id_is_a_whole_number_of_64_bits(field: str, value: str) -> None:
    sent = {**complete(), field: value}
    assert rejected({**sent, "sign_string": signature(sent)})["error"] == -8


@pytest.mark.parametrize(
    "value", ["1", "x", "5017", "--1", "-", "+0", "1.0", "-1.0", " -1", "-²", "-9999999999", "null"]
)
def test_the_error_is_zero_or_a_negative_whole_number(value: str) -> None:
    assert rejected(complete(error=value))["error"] == -8
    assert rejected(prepare(error=value))["error"] == -8


@pytest.mark.parametrize("value", [0, -1, -5017, -999999999])
def test_every_negative_error_is_heard(value: int) -> None:
    assert call(complete(error=value)).error == value


@pytest.mark.parametrize("number", [2**31, 2**53 + 1, 2**63 - 1])
def test_ids_above_what_others_can_count_are_kept_to_the_last_digit(number: int) -> None:
    known = call(prepare(click_trans_id=number, click_paydoc_id=number))
    assert (known.click_trans_id, known.transaction_id, known.paydoc_id) == (number, str(number), number)
    assert read(CLICK.render(known, CLICK.fail(known)))["click_trans_id"] == number
    assert f'"click_trans_id":{number},'.encode() in CLICK.render(known, CLICK.fail(known))


BODIES: Final = {
    "nothing": b"",
    "over the limit": None,
    "text": b"hello",
    "JSON": b'{"click_trans_id": 1}',
    "JSON with an equals sign": b'{"a": "b=c"}',
    "XML": b"<a b='c'/>",
    "multipart": b'--x\r\nContent-Disposition: form-data; name="action"\r\n\r\n0\r\n--x--',
    "raw UTF-8": encoded(prepare()).replace(b"=42", "=заказ".encode()),
    "raw bytes": encoded(prepare()).replace(b"=42", b"=\xff"),
    "UTF-16": encoded(prepare()).decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + encoded(prepare()),
    "bad UTF-8": encoded(prepare()).replace(b"=42", b"=%ff%fe"),
    "a cut letter": encoded(prepare()).replace(b"=42", b"=%d0"),
    "a surrogate": encoded(prepare()).replace(b"=42", b"=%ed%a0%80"),
    "U+0000": encoded(prepare(merchant_trans_id="4\x002")),
    "U+0000 in what is not signed": encoded(prepare(error_note="\x00")),
    "a field without a value": encoded(prepare()) + b"&flag",
    "an empty field": encoded(prepare()) + b"&",
    "too many fields": encoded(prepare()) + b"".join(b"&x%d=1" % number for number in range(64)),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_is_no_form_is_answered_without_having_been_read(body: bytes | None) -> None:
    answer = rejected(body)
    assert (answer["error"], answer["click_trans_id"], answer["merchant_trans_id"]) == (-8, 0, "")


def test_an_encoded_body_is_not_decoded() -> None:
    assert rejected(post(encoded(prepare()), content_encoding="gzip"))["error"] == -8
    assert CLICK.parse(post(encoded(prepare()), content_encoding="identity")).form == prepare()


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_a_form_is_a_form_whatever_its_content_type_says(kind: str) -> None:
    assert CLICK.parse(post(encoded(prepare()), content_type=kind)).form == prepare()


@pytest.mark.parametrize("blank", [b"+", b"%20"])
def test_a_blank_may_be_written_in_two_ways(blank: bytes) -> None:
    sent = encoded(prepare())
    assert b"sign_time=2026-01-15+10" in sent
    assert CLICK.parse(post(sent.replace(b"+", blank))).form["sign_time"] == TIME


@pytest.mark.parametrize(
    "order", ["заказ-№7", "O'zbekiston", "😀", "a&b=c", "a+b", "100%", " ", "'; DROP TABLE orders; --", "a" * 4000]
)
@pytest.mark.parametrize("make", [prepare, complete])
def test_an_order_may_be_any_text_and_comes_back_as_it_was(make: Any, order: str) -> None:
    known = call(make(merchant_trans_id=order))
    assert known.order == order
    assert read(CLICK.render(known, CLICK.fail(known)))["merchant_trans_id"] == order


def test_unknown_fields_are_no_trouble_and_the_hooks_see_all_but_the_signature() -> None:
    sent = {**prepare(), "param1": "x", "param2": ""}
    assert CLICK.params(call(sent)) == {name: text for name, text in sent.items() if name != "sign_string"}


# What is answered to a request that never became a call


@pytest.mark.parametrize(
    ("make", "mine"), [(prepare, {"merchant_prepare_id": 0}), (complete, {"merchant_confirm_id": None})]
)
def test_a_refusal_gives_back_what_was_legible_and_no_id_of_ours(make: Any, mine: dict[str, Any]) -> None:
    assert rejected({**make(), "sign_string": "0" * 32}) == {
        "click_trans_id": TRANS,
        "merchant_trans_id": "42",
        **mine,
        "error": -1,
        "error_note": "SIGN CHECK FAILED!",
    }


@pytest.mark.parametrize(("number", "echo"), [("x", 0), ("²", 0), ("9" * 20, 0), ("9" * 19, int("9" * 19)), ("", 0)])
def test_an_id_that_is_no_number_comes_back_as_0(number: str, echo: int) -> None:
    assert rejected({**prepare(), "click_trans_id": number})["click_trans_id"] == echo


FORMS: Final = st.builds(
    lambda base, other: {**base, **other},
    st.sampled_from((prepare(), complete(), {})),
    st.dictionaries(
        st.sampled_from((*REQUIRED, "merchant_prepare_id", "error_note")) | st.text(max_size=5),
        st.text(max_size=8) | st.sampled_from(("0", "1", "-1", "nan", str(TRANS))),
        max_size=4,
    ),
)


@given(
    st.binary(max_size=60)
    | FORMS.map(lambda fields: "&".join(f"{quote(k)}={quote(v)}" for k, v in fields.items()).encode())
)
def test_every_body_is_refused_or_carries_the_signature_of_what_it_says(body: bytes) -> None:
    match outcome(body):
        case Call() as known:
            assert known.form == dict(parse_qsl(body.decode(), keep_blank_values=True))
            assert known.form["sign_string"].lower() == signature(dict(known.form))
        case refusal:
            assert refusal["error"] in (-1, -3, -8)
            assert SECRET not in str(refusal)


# Amounts


@pytest.mark.parametrize(
    ("text", "tiyin"),
    [("1000", 100000), ("1000.0", 100000), ("1000.00", 100000), ("0.01", 1), ("0", 0), ("0.00", 0), ("8.20", 820),
     ("8.2", 820), ("4.35", 435), ("999999999999999.99", 99999999999999999)],
)  # fmt: skip
def test_an_amount_is_exact(text: str, tiyin: int) -> None:
    assert call(prepare(amount=text)).amount == tiyin


NO_AMOUNTS: Final = (
    "x", "nan", "NaN", "inf", "-Infinity", "-1", "+1", "-0", "1e3", "1E3", "05", "00", "00.5", ".5", "5.", "1.234",
    "1.000", "5,00", "5 000", "1_000", " 5", "5 ", "5\n", "٣", "²", "0x10", "9" * 16, "9" * 5000,
    "5000.00.00", "5000;00",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_AMOUNTS, ids=lambda text: ascii(text[:24]))
@pytest.mark.parametrize("make", [prepare, complete])
def test_what_is_no_amount_is_heard_and_then_fits_nothing(make: Any, text: str) -> None:
    asked = call(make(amount=text))
    assert asked.amount is None
    known = CLICK.decide(call(prepare()), Snapshot(account=ORDER), NOW).changes[0].after
    decision = CLICK.decide(asked, Snapshot(transaction=None if make is prepare else known, account=ORDER), NOW)
    assert (decision.reply.code.number, decision.changes, decision.events, decision.asks) == (-2, (), (), ())


@given(st.integers(0, 10**17 - 1), st.booleans())
def test_every_number_of_tiyin_can_be_said_and_is_heard_as_it_was_said(tiyin: int, short: bool) -> None:  # noqa: FBT001
    text = f"{tiyin // 100}.{tiyin % 100:02}"
    assert call(prepare(amount=text)).amount == tiyin
    if short and tiyin % 10 == 0:
        assert call(prepare(amount=text[:-1])).amount == tiyin


@given(st.text(st.sampled_from("0123456789.-+eE, nai"), min_size=1, max_size=12))
def test_an_amount_has_no_second_reading(text: str) -> None:
    amount = call(prepare(amount=text)).amount
    if amount is not None:
        assert Decimal(text) * 100 == amount
        assert text.isascii()
        assert set(text) <= set("0123456789.")
        assert text[0] in "123456789" or text[:2] in ("0", "0.")


# The prepare id


@given(st.integers(0, 2**63 - 1))
def test_the_prepare_id_is_a_positive_number_of_31_bits_that_follows_from_the_attempt(number: int) -> None:
    known = call(prepare(click_trans_id=number))
    assert known.prepare_id == prepare_id(number)
    assert 1 <= known.prepare_id <= 2**31 - 1
    assert call(complete(click_trans_id=number)).prepared


@pytest.mark.parametrize(
    "wrong", [0, 1, prepare_id(TRANS) - 1, prepare_id(TRANS) + 1, TRANS, 999999999, 2**31 - 1, 2**63 - 1]
)
def test_no_other_prepare_id_is_the_attempts(wrong: int) -> None:
    assert not call(complete(merchant_prepare_id=wrong)).prepared


# The settings


@pytest.mark.parametrize("action", [2, -1, 7])
def test_a_url_of_an_action_that_does_not_exist_is_a_wrong_setting(action: int) -> None:
    with pytest.raises(ConfigurationError, match="action must be 0") as caught:
        replace(CLICK, action=action)
    assert caught.value.setting == "action"


@pytest.mark.parametrize("percent", ["-0.01", "100", "1000", "NaN", "Infinity"])
def test_a_commission_that_is_no_percentage_is_a_wrong_setting(percent: str) -> None:
    with pytest.raises(ConfigurationError, match="commission_percent must be") as caught:
        replace(CLICK, commission_percent=Decimal(percent))
    assert caught.value.setting == "commission_percent"


def test_the_secret_is_shown_by_nothing() -> None:
    known = call(prepare())
    seen = [CLICK, known, CLICK.lookup(known), CLICK.params(known), CLICK.decide(known, Snapshot(account=ORDER), NOW)]
    assert SECRET not in "".join(map(repr, seen))
    assert prepare()["sign_string"] not in repr(CLICK.params(known))
