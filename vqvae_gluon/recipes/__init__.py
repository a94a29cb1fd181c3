"""Every setting of a training, typed and checked, as commands, checkpoints and exported models know it."""
