"""Every short history of the real rules: breadth first, each state once, the promise checked at each state and step.

`world.py` says what is real and what is stood in for, `alphabets.py` what may happen, `promises.py` what must hold,
`mutants.py` which wrong variants must be found. `make explore` runs all of it; `make test` small bounds.
"""
