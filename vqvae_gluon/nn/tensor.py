"""What the networks compute with, for which MXNet has no types: the names say what is meant."""
from typing import Any

#: The module of operators that Gluon hands to ``hybrid_forward``: ``mx.nd``, or ``mx.sym`` while a graph is made.
Operators = Any
#: An ``NDArray``, or a ``Symbol`` while a graph is made.
Tensor = Any
