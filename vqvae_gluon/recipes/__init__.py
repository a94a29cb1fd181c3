"""Every setting of a training, typed and checked: what a command, a checkpoint and an exported model are told of it."""
