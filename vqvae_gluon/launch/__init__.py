"""Starting the processes of one training here or on other machines, watching them and ending them all.

MXNet's own launcher needs ``dmlc_tracker``, which is on no package index, and MXNet never notices a process that dies.
"""
