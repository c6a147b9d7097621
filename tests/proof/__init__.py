"""The proof that the core is right: the model check, the oracle, the races, the simulator, and what they catch.

The tools are public, `paytechuz_core.testing`; here they are held against our own gateways. What is in these tests
takes seconds and runs with `make test`; `make verify` runs everything (`tests.proof.verify`).
"""
