"""Two requests that meet at any step end as if one had come after the other."""

import pytest

from paytechuz_core.testing.explore import ORDERS
from paytechuz_core.testing.invariants import Broken
from paytechuz_core.testing.messages import PAYME, Registers, payme
from paytechuz_core.testing.races import Race, every_schedule_is_serial, of_one_order
from tests.proof.verify import races

pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize("start", range(0, 55, 11))
def test_every_race_ends_as_some_serial_order(start: int) -> None:
    assert races(start, 55).counts["races"] == 105


def test_every_schedule_is_played_once() -> None:
    """Two Creates read twice, write and commit: of eight turns four are one's, which is 70 ways."""
    create = payme("Create", "p1", "A", 500_000)
    race = Race((), (create, create), ORDERS, Registers())
    taken = [tuple(turns) for _, turns in race.schedules()]
    assert len(set(taken)) == len(taken) == every_schedule_is_serial(race) == 70


def test_a_race_of_one_payment_begins_in_every_situation_that_an_order_can_be_in() -> None:
    rows = of_one_order(Registers())
    assert len(rows) == 55
    assert {tuple(row.state for row in each if row.gateway == PAYME) for each in rows} == {(), (1,), (2,), (-1,), (-2,)}


def test_a_race_that_ends_as_no_serial_order_says_which_and_how(monkeypatch: pytest.MonkeyPatch) -> None:
    race = Race((), (payme("Create", "p1", "A", 500_000), payme("Create", "p2", "A", 500_000)), ORDERS, Registers())
    nothing = (("", ""), (), ())
    monkeypatch.setattr(Race, "serial", lambda _: (nothing, nothing))
    with pytest.raises(Broken) as broken:
        every_schedule_is_serial(race)
    told = str(broken.value).splitlines()
    assert told[0].startswith("turns aaaa end as no serial order does: ")
    assert told[-3].startswith("a. payme Create p1")
    assert told[-2].startswith("b. payme Create p2")
    assert told[-1] == "meet where nothing is stored"
