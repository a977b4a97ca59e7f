"""The cost and speed of the whole flow, as ratios within one run."""
