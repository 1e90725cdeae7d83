"""Random faults on real processes and real sockets, and the books that say whether anything was lost.

`upstream` and `downstream` are processes of their own, `proxy` stands on both sides of the agent, `disk` holds its
files. `stage` sets all of that up and breaks it, `play` draws the faults, `ledger` keeps the books and judges.
"""
