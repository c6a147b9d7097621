"""The tests: sentences about payments, one to a function.

`SIZE` multiplies the number of cases where more cases find more: random histories, storms, races. `make test` runs at
1; PAYTECHUZ_TEST_SIZE sets another.

`EVERY_CELL` is for the tables that are too long to be tried on each change by hand: every framework on every database,
every driver, every shop that `paytechuz init` writes. `make test` tries each row and each column of them, and `.ci/run`
all cells, by PAYTECHUZ_EVERY_CELL=1.
"""

import os

SIZE = int(os.environ.get("PAYTECHUZ_TEST_SIZE", "1"))
EVERY_CELL = os.environ.get("PAYTECHUZ_EVERY_CELL") == "1"
