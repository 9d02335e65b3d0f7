"""What a run leaves on disk, and reading it back: tables of rows, checkpoints, digests, whose folder it is."""
