"""Training of the checkpoints under test: recipes, the trainers' glue, and the training record."""
