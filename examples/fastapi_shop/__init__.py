"""A small shop that takes payments with Payme and Click: the example of the README, the demo and the tests.

`database` and `models` are any shop's, `webhook` is where paytechuz comes in, `main` is the application. `demo` plays
both providers against it over HTTP; `serve` leaves it running for you to try. From the repository's root:

    python -m examples.fastapi_shop.demo
    python -m examples.fastapi_shop.serve
"""
