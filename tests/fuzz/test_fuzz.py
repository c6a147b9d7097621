"""The properties of `targets`: held against the corpus and some thousands of drawn inputs, and shown to find faults."""

import hmac
import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paytechuz_core import Inbound, Payme
from paytechuz_core.addresses import Address, Callers, address_in
from paytechuz_core.click import Click
from paytechuz_core.click.gateway import Reply
from paytechuz_core.decision import Decision, Rejected, Snapshot, Subject
from paytechuz_core.inbound import READER, decode_json
from paytechuz_core.payme import errors
from paytechuz_core.payme.calls import Call
from paytechuz_core.payme.gateway import NOTHING
from paytechuz_core.payme.replies import encode
from tests import SIZE
from tests.core import click_wire, wire
from tests.fuzz import messages
from tests.fuzz.targets import (
    BEHIND,
    CLICK,
    FUZZED,
    PAYME,
    Fuzzed,
    Target,
    address_target,
    click_target,
    header_target,
    json_target,
    payme_target,
)

CORPUS: Final = {fuzzed.name: sorted((Path(__file__).parent / "corpus" / fuzzed.name).iterdir()) for fuzzed in FUZZED}
SEEDS: Final = st.integers(0, 2**64)
NAMES: Final = [fuzzed.name for fuzzed in FUZZED]


def drawn(fuzzed: Fuzzed, seed: int) -> bytes:
    """Draw an input: one of the corpus or a valid call, spoiled once or a few times."""
    random = Random(seed)
    fresh = {"payme": messages.payme_call, "click": messages.click_call}.get(fuzzed.name)
    data = fresh(random) if fresh and random.random() < 0.7 else random.choice(CORPUS[fuzzed.name]).read_bytes()
    for _ in range(random.choice((1, 1, 2, 3))):
        data = fuzzed.spoil(data, random)
    return data


@pytest.mark.parametrize("fuzzed", FUZZED, ids=NAMES)
def test_no_input_of_the_corpus_does_what_none_may(fuzzed: Fuzzed) -> None:
    outcomes = {fuzzed.target(path.read_bytes()) for path in CORPUS[fuzzed.name]}
    assert len(outcomes) > 1, "a corpus that ends in one way only has lost what it was kept for"


@pytest.mark.parametrize("fuzzed", FUZZED, ids=NAMES)
@settings(max_examples=500 * SIZE)
@given(seed=SEEDS)
def test_no_spoiled_call_does_what_none_may(fuzzed: Fuzzed, seed: int) -> None:
    fuzzed.target(drawn(fuzzed, seed))


@pytest.mark.parametrize("fuzzed", FUZZED, ids=NAMES)
@settings(max_examples=250 * SIZE)
@given(data=st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
@example(data=b"")
@example(data=b"[" * 60_000)
@example(data=b"POST\n\n" + b"[" * 60_000)
@example(data=b"POST\nauthorization: " + wire.basic().encode() + b"\n\n" + b'{"a":' * 10_000)
@example(data=b"POST\n\n" + b"a=b&" * 16_000)
@example(data=b"POST\n\n" + b"%" * 64_000)
def test_no_bytes_at_all_do_what_none_may(fuzzed: Fuzzed, data: bytes) -> None:
    fuzzed.target(data)


def test_the_gates_are_passed_by_what_is_drawn() -> None:
    """Where every input ended at the first gate, nothing behind it would be tested."""
    for name, deepest in (("payme", {"a result", "-31008", "-31051", "-31003"}), ("click", {"0", "-9", "-4", "-2"})):
        (fuzzed,) = (each for each in FUZZED if each.name == name)
        assert {fuzzed.target(drawn(fuzzed, seed)) for seed in range(1500)} >= deepest


# What is broken on purpose is found


def lets_a_recursion_error_out(data: bytes) -> Any:
    return READER.decode(data.decode())


def reads_a_key_twice(data: bytes) -> Any:
    return json.loads(data)


def refuses_all_that_is_escaped(data: bytes) -> Any:
    if b"\\u" in data:
        raise ValueError
    return decode_json(data)


def splits_at_the_last_colon(header: str | None) -> tuple[bytes, bytes] | None:
    with suppress(ValueError):
        scheme, _, encoded = (header or "").strip().partition(" ")
        decoded = b64decode(encoded.strip().encode("ascii"), validate=True)
        decoded.decode()
        login, colon, password = decoded.rpartition(b":")
        return (login, password) if colon and scheme.lower() == "basic" and len(header or "") <= 1024 else None
    return None


def takes_any_scheme(header: str | None) -> tuple[bytes, bytes] | None:
    with suppress(ValueError):
        login, colon, password = b64decode((header or "").split()[-1]).partition(b":")
        return (login, password) if colon else None
    return None


class TakesTheLeftMost(Callers):
    """The client is the first who is named, by whom the client likes."""

    def client(self, inbound: Inbound) -> Address | None:
        header = inbound.headers.get("x-forwarded-for", "")
        return address_in(header.partition(",")[0] if header else inbound.peer or "")


class SkipsWhatItCannotRead(Callers):
    """A hop that is no address is passed over, and the next one believed."""

    def client(self, inbound: Inbound) -> Address | None:
        for hop in reversed((inbound.peer or "", *inbound.headers["x-forwarded-for"].split(","))):
            if (client := address_in(hop)) is not None:
                return client
        return None


class ReadsBeforeCredentials(Payme):
    """The body is read first, so a stranger learns whether it is good JSON."""

    def parse(self, inbound: Inbound) -> Call:
        try:
            decode_json(inbound.readable or b"{}")
        except ValueError:
            raise self._rejected(None, errors.NOT_JSON) from None
        return Payme.parse(self, inbound)


class ComparesText(Payme):
    """`compare_digest` of texts raises where one is not ASCII."""

    def _trusts(self, header: str | None) -> bool:
        return hmac.compare_digest(header or "", wire.basic())


class TrustsAnyLogin(Payme):
    """The last piece decides."""

    def _trusts(self, header: str | None) -> bool:
        return (header or "").endswith(wire.basic()[-20:])


class QuotesTheKey(Payme):
    """An error says what would have been right."""

    def _rejected(self, id: Any, error: errors.Error, subject: Subject = NOTHING) -> Rejected:
        told = error.about(*self.keys()) if error is errors.NOT_ALLOWED else error
        return Rejected(encode(id, told, {}), error.code, subject)


class AnswersForgottenId(Payme):
    """A refusal echoes no id."""

    def _rejected(self, id: Any, error: errors.Error, subject: Subject = NOTHING) -> Rejected:
        del id
        return Rejected(encode(None, error, {}), error.code, subject)


class WritesWhereItLooks(Payme):
    """A look at a late transaction cancels it, and an error is answered for what was done."""

    def decide(self, call: Call, snapshot: Snapshot, now: int) -> Decision[Any]:
        decision = Payme.decide(self, call, snapshot, now)
        return replace(decision, reply=errors.WRONG_AMOUNT) if decision.changes else decision


class NeverSigned(Click):
    """The signature is looked at, and that is all."""

    def parse(self, inbound: Inbound) -> Any:
        form = {
            **dict(pair.split("=", 1) for pair in (inbound.body or b"").decode("latin-1").split("&") if "=" in pair)
        }
        signed = click_wire.encoded({**form, "sign_string": click_wire.signature(form)})
        return Click.parse(self, replace(inbound, body=signed))


class TakesTheLast(Click):
    """Of a field that comes twice the last one counts."""

    def parse(self, inbound: Inbound) -> Any:
        form = dict(pair.split(b"=", 1) for pair in (inbound.body or b"").split(b"&") if b"=" in pair)
        return Click.parse(self, replace(inbound, body=b"&".join(b"=".join(pair) for pair in form.items())))


class TellsTheSecret(Click):
    """A note says what was signed."""

    def decide(self, call: Any, snapshot: Snapshot, now: int) -> Decision[Reply]:
        decision = Click.decide(self, call, snapshot, now)
        return replace(decision, reply=replace(decision.reply, note=" ".join(self.secrets())))


class ReadsAnyNumber(Click):
    """An id is whatever `int` takes, so a system error is one digit of another script away."""

    def parse(self, inbound: Inbound) -> Any:
        call = Click.parse(self, inbound)
        int(call.form.get("error_note") or "0")
        return call


PAYMES: Final = (
    ReadsBeforeCredentials, ComparesText, TrustsAnyLogin, QuotesTheKey, AnswersForgottenId, WritesWhereItLooks,
)  # fmt: skip
CLICKS: Final = (NeverSigned, TakesTheLast, TellsTheSecret, ReadsAnyNumber)
DECODERS: Final = (lets_a_recursion_error_out, reads_a_key_twice, refuses_all_that_is_escaped)
CALLERS: Final = (TakesTheLeftMost, SkipsWhatItCannotRead)
HEADERS: Final = (splits_at_the_last_colon, takes_any_scheme)


def payme_as(kind: type[Payme]) -> Payme:
    return kind(keys=PAYME.keys, fields=PAYME.fields, changes_password=True)


def callers_as(kind: type[Callers]) -> Callers:
    return kind(BEHIND.allowed, BEHIND.proxies)


def click_as(kind: type[Click]) -> Click:
    return kind(secrets=CLICK.secrets, service_id=CLICK.service_id, field=CLICK.field)


BROKEN: Final[list[tuple[str, str, Target]]] = [
    *(("json", each.__name__, partial(json_target, decode=each)) for each in DECODERS),
    *(("header", each.__name__, partial(header_target, credentials=each)) for each in HEADERS),
    *(("address", each.__name__, partial(address_target, callers=callers_as(each))) for each in CALLERS),
    *(("payme", each.__name__, partial(payme_target, gateway=payme_as(each))) for each in PAYMES),
    *(("click", each.__name__, partial(click_target, gateway=click_as(each))) for each in CLICKS),
]


def inputs(fuzzed: Fuzzed) -> Iterator[bytes]:
    yield from (path.read_bytes() for path in CORPUS[fuzzed.name])
    yield from (drawn(fuzzed, seed) for seed in range(4000))


@pytest.mark.parametrize(
    ("name", "target"), [(name, target) for name, _, target in BROKEN], ids=[each[1] for each in BROKEN]
)
def test_what_is_broken_on_purpose_is_found(name: str, target: Target) -> None:
    (fuzzed,) = (each for each in FUZZED if each.name == name)
    for data in inputs(fuzzed):
        try:
            target(data)
        except (AssertionError, RecursionError, LookupError, TypeError, ValueError):
            return
    pytest.fail("nothing was found")
