"""Export the checkpoints of a training to the files that Python and C++ load."""
