"""From bytes to bytes: read, decide, write, tell, commit, answer.

`respond` answers one request; `handle` answers one call, in one database transaction, and starts over when another
request wrote first. Nothing is decided here: every `if` about money lives in a gateway. `arespond`, `ahandle` and
`aload` below are the same lines, awaited.

The database transaction is committed before anything is answered, so what is acknowledged is durable. A connection lost
while committing leaves its outcome unknown; that is a `Conflict` too, because starting over reads the transaction again
and answers, as a replay, what it finds.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

from paytechuz_core.decision import Event, Gateway, Lookup, Refused, Rejected, Snapshot
from paytechuz_core.hooks import AsyncFire, Drafts, Fire
from paytechuz_core.inbound import Inbound
from paytechuz_core.observe import Observation, log
from paytechuz_core.repository import AsyncBegin, AsyncRepository, Begin, Conflict, Repository
from paytechuz_core.transaction import Millis

CallT = TypeVar("CallT")
ReplyT = TypeVar("ReplyT")
T = TypeVar("T")
Clock: TypeAlias = Callable[[], Millis]
Pause: TypeAlias = Callable[[int], None]
AsyncPause: TypeAlias = Callable[[int], Awaitable[None]]

ATTEMPTS: Final = 8
UNHEARD: Final = "after_commit failed after %s; the payment itself is saved"
LOST: Final = f"{ATTEMPTS} attempts each met a rival that wrote first"


def epoch_millis() -> Millis:
    """Read the server's clock."""
    return time.time_ns() // 1_000_000


def jitter(attempt: int) -> None:
    """Wait before every attempt but the first: some random milliseconds, twice as many each time.

    Rivals that start over together would only collide again.
    """
    if attempt > 0:
        time.sleep(random.uniform(0, 0.002) * 2**attempt)  # noqa: S311 - spreads load, guards nothing


def respond(
    gateway: Gateway[CallT, ReplyT], inbound: Inbound, begin: Begin, fire: Fire,
    clock: Clock = epoch_millis, pause: Pause = jitter,
) -> bytes:  # fmt: skip
    """Answer one request of a provider, whatever happens."""
    with Observation(gateway) as seen:
        try:
            seen.call = gateway.parse(inbound)
            seen.reply = handle(gateway, seen.call, begin, fire, clock, pause, seen)
        except Rejected as rejected:
            seen.rejected = rejected
            return rejected.body
        except Exception as error:  # noqa: BLE001 - it is logged there
            seen.fails(error)
            seen.reply = gateway.fail(seen.call)
        return gateway.render(seen.call, seen.reply)


def handle(
    gateway: Gateway[CallT, ReplyT], call: CallT, begin: Begin, fire: Fire,
    clock: Clock = epoch_millis, pause: Pause = jitter, seen: Observation[CallT, ReplyT] | None = None,
) -> ReplyT:  # fmt: skip
    """Answer `call`; start over when another request wrote first."""
    lookup, seen = gateway.lookup(call), seen or Observation(gateway)
    rival = None
    for attempt in range(ATTEMPTS):
        pause(attempt)
        seen.attempts, drafts = attempt + 1, Drafts(gateway.params(call))
        try:
            with begin() as repository:
                seen.snapshot, now = load(repository, lookup), clock()
                decision = gateway.decide(call, seen.snapshot, now)
                for ask in decision.asks:
                    decision = gateway.amend(call, decision, ask, fire(ask, drafts))
                for change in decision.changes:
                    drafts.note(repository.save(change))
                for event in decision.events:
                    fire(event, drafts)
                for change in drafts.changes(now):
                    drafts.note(repository.save(change))
        except Conflict as conflict:
            rival = conflict
        except Refused as refusal:
            return gateway.refuse(call, refusal)
        else:
            seen.decision = decision
            for event in decision.aftermath:
                announce(fire, event, drafts)
            return decision.reply
    raise Conflict(LOST) from rival


def undertake(
    gateway: Gateway[CallT, ReplyT], call: CallT, begin: Begin, fire: Fire, clock: Clock = epoch_millis,
) -> ReplyT | None:  # fmt: skip
    """Take a call of our own, which nobody waits for; None where it failed, and the log says why."""
    with Observation(gateway) as seen:
        seen.call = call
        try:
            seen.reply = reply = handle(gateway, call, begin, fire, clock, seen=seen)
        except Exception as error:  # noqa: BLE001 - it is logged there
            seen.fails(error)
            return None
        return reply


def insist(step: Callable[[], T], pause: Pause = jitter) -> T:
    """Take a step of our own that no provider asks for; start over as `handle` does."""
    rival = None
    for attempt in range(ATTEMPTS):
        pause(attempt)
        try:
            return step()
        except Conflict as conflict:
            rival = conflict
    raise Conflict(LOST) from rival


def load(repository: Repository, lookup: Lookup) -> Snapshot:
    """Read what `lookup` asks for; the account only for a transaction that is not known yet."""
    if lookup.window is not None:
        return Snapshot(transactions=repository.list_transactions(lookup.gateway, *lookup.window))
    named = lookup.gateway, lookup.transaction_id
    found = repository.find_transactions(*named, lookup.hold, for_update=lookup.for_update) if lookup.named else ()
    snapshot = lookup.snapshot(found)
    if snapshot.transaction is None and lookup.account is not None:
        account = repository.find_account(lookup.account)
        if account is not None and account.hold not in (None, lookup.hold):
            found = repository.find_transactions(*named, account.hold, for_update=False)
        snapshot = lookup.snapshot(found, account)
    return snapshot


def announce(fire: Fire, event: Event, drafts: Drafts) -> None:
    """Tell what is committed; whatever goes wrong now cannot change the answer."""
    try:
        fire(event, drafts)
    except Exception:  # noqa: BLE001 - it is logged here
        log.exception(UNHEARD, event.after)


async def ajitter(attempt: int) -> None:
    """Wait as `jitter` does."""
    if attempt > 0:
        await asyncio.sleep(random.uniform(0, 0.002) * 2**attempt)  # noqa: S311 - spreads load, guards nothing


async def arespond(
    gateway: Gateway[CallT, ReplyT], inbound: Inbound, begin: AsyncBegin, fire: AsyncFire,
    clock: Clock = epoch_millis, pause: AsyncPause = ajitter,
) -> bytes:  # fmt: skip
    """Answer one request of a provider, whatever happens."""
    with Observation(gateway) as seen:
        try:
            seen.call = gateway.parse(inbound)
            seen.reply = await ahandle(gateway, seen.call, begin, fire, clock, pause, seen)
        except Rejected as rejected:
            seen.rejected = rejected
            return rejected.body
        except Exception as error:  # noqa: BLE001 - it is logged there
            seen.fails(error)
            seen.reply = gateway.fail(seen.call)
        return gateway.render(seen.call, seen.reply)


async def ahandle(
    gateway: Gateway[CallT, ReplyT], call: CallT, begin: AsyncBegin, fire: AsyncFire,
    clock: Clock = epoch_millis, pause: AsyncPause = ajitter, seen: Observation[CallT, ReplyT] | None = None,
) -> ReplyT:  # fmt: skip
    """Answer `call`; start over when another request wrote first."""
    lookup, seen = gateway.lookup(call), seen or Observation(gateway)
    rival = None
    for attempt in range(ATTEMPTS):
        await pause(attempt)
        seen.attempts, drafts = attempt + 1, Drafts(gateway.params(call))
        try:
            async with begin() as repository:
                seen.snapshot, now = await aload(repository, lookup), clock()
                decision = gateway.decide(call, seen.snapshot, now)
                for ask in decision.asks:
                    decision = gateway.amend(call, decision, ask, await fire(ask, drafts))
                for change in decision.changes:
                    drafts.note(await repository.save(change))
                for event in decision.events:
                    await fire(event, drafts)
                for change in drafts.changes(now):
                    drafts.note(await repository.save(change))
        except Conflict as conflict:
            rival = conflict
        except Refused as refusal:
            return gateway.refuse(call, refusal)
        else:
            seen.decision = decision
            for event in decision.aftermath:
                await aannounce(fire, event, drafts)
            return decision.reply
    raise Conflict(LOST) from rival


async def aundertake(
    gateway: Gateway[CallT, ReplyT], call: CallT, begin: AsyncBegin, fire: AsyncFire, clock: Clock = epoch_millis,
) -> ReplyT | None:  # fmt: skip
    """Take a call of our own, which nobody waits for; None where it failed, and the log says why."""
    with Observation(gateway) as seen:
        seen.call = call
        try:
            seen.reply = reply = await ahandle(gateway, call, begin, fire, clock, seen=seen)
        except Exception as error:  # noqa: BLE001 - it is logged there
            seen.fails(error)
            return None
        return reply


async def ainsist(step: Callable[[], Awaitable[T]], pause: AsyncPause = ajitter) -> T:
    """Take a step of our own that no provider asks for; start over as `ahandle` does."""
    rival = None
    for attempt in range(ATTEMPTS):
        await pause(attempt)
        try:
            return await step()
        except Conflict as conflict:
            rival = conflict
    raise Conflict(LOST) from rival


async def aload(repository: AsyncRepository, lookup: Lookup) -> Snapshot:
    """Read what `lookup` asks for; the account only for a transaction that is not known yet."""
    if lookup.window is not None:
        return Snapshot(transactions=await repository.list_transactions(lookup.gateway, *lookup.window))
    named = lookup.gateway, lookup.transaction_id
    found = (
        await repository.find_transactions(*named, lookup.hold, for_update=lookup.for_update) if lookup.named else ()
    )
    snapshot = lookup.snapshot(found)
    if snapshot.transaction is None and lookup.account is not None:
        account = await repository.find_account(lookup.account)
        if account is not None and account.hold not in (None, lookup.hold):
            found = await repository.find_transactions(*named, account.hold, for_update=False)
        snapshot = lookup.snapshot(found, account)
    return snapshot


async def aannounce(fire: AsyncFire, event: Event, drafts: Drafts) -> None:
    """Tell what is committed; whatever goes wrong now cannot change the answer."""
    try:
        await fire(event, drafts)
    except Exception:  # noqa: BLE001 - it is logged here
        log.exception(UNHEARD, event.after)
