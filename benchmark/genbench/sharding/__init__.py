"""One run played by several processes, each a fixed share of its instances, and merged."""
