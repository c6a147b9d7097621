"""A small shop on FastAPI that takes payments with Payme and Click: the example of the README, the demo and the tests.

`database` and `models` are any shop's, `webhook` is where paytechuz comes in, `main` is the application. From the
repository's root, `make demo` plays both providers against it over HTTP, and `make serve` leaves it running for you to
try.
"""
