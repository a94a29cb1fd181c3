"""From the checkpoints of a training to exported files."""
