"""Real processes, real faults, and a witness that Onefriend does not control.

The whole stack runs as processes under concurrent load while things are killed, stopped, cut, delayed, emptied and restored.
Who was contacted is counted by a telephone and mail provider (`provider.py`), a process of its own with a log and a clock of
its own; what agencies were told, by their own records (`agency.py`). `checker.py` compares these with the journals and
believes no service's own count.

    make faults        a rotating selection within ten minutes
    make faults-long   every fault, alone and in pairs, resumable
"""
