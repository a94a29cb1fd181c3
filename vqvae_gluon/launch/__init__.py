"""Start the processes of one training, here or on other machines, watch them, and end them all.

MXNet's own launcher needs ``dmlc_tracker``, which is not on any package index, and MXNet never notices that a process
has died.
"""
