"""Watching a segment train: the console, the history's rows, snapshots, the samples' distance to the pictures."""
