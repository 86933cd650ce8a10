"""From a base to a conclusion: training, sweep, tests and report as one resumable pipeline."""
