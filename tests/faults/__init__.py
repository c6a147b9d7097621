"""Real databases, real faults: nothing acknowledged is lost, nothing is doubled, nothing invented.

Every module breaks one thing on purpose: a rival comes at the same moment, a process dies, a server dies, a COMMIT's
answer is lost. Each has a list of experiments; an experiment holds one promise on one ground and counts what it saw.

    make faults                   all of it, with a progress bar and a report in build/faults/
    make faults SIZE=ci           as `.ci/run` does it
    make faults ONLY=storms       only experiments whose name has this in it

`make test` plays the same experiments at their shortest, on whatever databases there are (`test_faults`). Each kind of
fault has a negative control beside it: a shop or a setting that is known to lose or to double, and must be seen to.
"""
