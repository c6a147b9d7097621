"""Hostile input, drawn by the million: what no bytes from outside may do.

`targets` says it, one property for each thing that reads what a stranger sent; `messages` writes requests as they are
on the wire and spoils them one field at a time. `make fuzz` searches for a counterexample, led by the code that is
reached (`__main__`); `make test` tries the corpus and some thousands of drawn inputs (`test_fuzz`).
"""
