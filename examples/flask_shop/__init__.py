"""A small shop on Flask that takes payments with Payme and Click: an example of paytechuz, its demo and its tests.

`models` is any shop's, `webhook` is where paytechuz comes in, `main` is the application. From the repository's root,
`make demo-flask` plays both providers against it over HTTP, and `make serve-flask` leaves it running for you to try.
"""
