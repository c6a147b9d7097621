"""The tests: sentences about payments, one to a function.

`SIZE` multiplies the number of cases where more cases find more: random histories, storms, races. `make test` runs at
1; PAYTECHUZ_TEST_SIZE sets another.
"""

import os

SIZE = int(os.environ.get("PAYTECHUZ_TEST_SIZE", "1"))
