"""Boards made of published runs: what goes in is replayed, what comes out follows from it.

`definition` reads what a board asks for, `publishing` copies runs to `results/`, `eligibility` says
which of them a board takes, `ranking` orders them, `table` and `rendering` show them, `building`
writes and checks what is committed. `card` puts a run on a model card.
"""
