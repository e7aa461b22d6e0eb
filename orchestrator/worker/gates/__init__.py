"""The gates: each a small module that answers yes or no about one commit, with a reason and where to look."""
