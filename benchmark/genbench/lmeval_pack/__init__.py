"""A task for lm-eval: a folder for its `--include_path`, and what lm-eval runs of it."""
