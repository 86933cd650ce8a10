"""Training of the checkpoints under test: recipes, the trainers' glue, and the training record.

Public: `genbench.training.rewards` (an environment's verifier as a reward function of TRL) and
`genbench.training.plan` (what another trainer is given). The rest is private.
"""
