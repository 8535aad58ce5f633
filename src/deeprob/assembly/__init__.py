"""Build a run from its config; load finished runs and fuse them."""
