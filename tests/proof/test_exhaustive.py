"""Whatever three payments come to, whatever is said then: the gateways do as the second reading of the rules says."""

from itertools import chain

import pytest

from paytechuz_core.payme.calls import Call, Expire
from paytechuz_core.testing.explore import CASTS, ORDERS, WITH_A_WALLET, Model, explore, verify_twins
from paytechuz_core.testing.messages import CLICK, NOW, PAYME, Registers
from paytechuz_core.testing.oracle import RULES, late
from tests.proof.verify import walks

# Tracing every line of two hundred thousand decisions would only say that they were taken.
pytestmark = pytest.mark.no_cover

# Of each cast: the states that are not renamings of each other, the edges from them, and the states with all names.
SIZES = ((274, 17_753, 2863), (720, 50_758, 2751), (716, 53_974, 2763), (235, 17_399, 2483))


@pytest.mark.parametrize(("cast", "sizes"), list(zip(CASTS, SIZES, strict=True)), ids=["PPP", "PPC", "PCC", "CCC"])
def test_in_every_reachable_state_of_three_payments_every_message_keeps_every_rule(
    cast: dict[str, str], sizes: tuple[int, int, int]
) -> None:
    found = explore(Model(cast, symmetric=True))
    assert (found.states, found.edges, found.orbits) == sizes


@pytest.mark.parametrize("cast", [{"p1": PAYME, "p2": PAYME}, {"p1": PAYME, "2": CLICK}, {"1": CLICK, "2": CLICK}])
def test_what_the_model_takes_for_one_state_has_one_future(cast: dict[str, str]) -> None:
    model = Model(cast, WITH_A_WALLET)
    assert verify_twins(model, explore(model)) > 100


@pytest.mark.parametrize("cast", [{"p1": PAYME, "p2": PAYME}, {"p1": PAYME, "2": CLICK}, {"1": CLICK, "2": CLICK}])
def test_renamings_of_a_state_are_as_many_as_the_search_without_symmetry_finds(cast: dict[str, str]) -> None:
    assert explore(Model(cast, symmetric=True)).orbits == explore(Model(cast, checks=())).states


def test_every_rule_of_the_oracle_is_met_in_random_walks_through_what_the_model_leaves_out() -> None:
    met = set().union(
        *(walks(number, accounts, 60).rules for number in range(4) for accounts in (ORDERS, WITH_A_WALLET))
    )
    assert [str(rule) for rule in RULES if rule not in met] == []


def test_our_sweep_ends_what_is_late_at_payme_and_nothing_else() -> None:
    registers = Registers()
    explored = explore(Model({"p1": PAYME, "2": CLICK}, symmetric=True, checks=()))
    for row in chain.from_iterable(explored.rows):
        gateway = registers.payme if row.gateway == PAYME else registers.click
        id = row.transaction_id
        ends = Call(None, Expire(id=id), {"id": id, "reason": 4}) if row.gateway == PAYME and late(row, NOW) else None
        assert gateway.expiry(row, NOW) == ends
