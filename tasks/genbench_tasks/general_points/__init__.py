"""GeneralPoints: make a target number from the cards of a hand (Chu et al. 2025, section 4.1).

Cards -> numbers (`cards`) -> hands and splits (`hands`, `splits`) -> prompts (`prompts`) ->
response -> answer object (`genbench_tasks.answers`) -> formula (`formula`) -> verdict
(`environment`). The solver knows every solution (`solver`); the reference agents are in `agents`.

With vision the same hands are shown as pictures (`seen`, `pictures`): the environments are `vision`
and, for naming the cards alone, `recognition`; `visual_agent` reads pixels.
"""
