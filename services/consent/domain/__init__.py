"""The rules of contact: pure functions from what is known to what follows.

`state` and `facts` are the nouns, `evolve` and `taking_in` how a ledger changes, `decision` what a rule returns. `standing`,
`approach` and `contact` answer the question; `permits`, `outcomes`, `choices`, `leads`, `people` and `cases` are what can
happen.
"""
