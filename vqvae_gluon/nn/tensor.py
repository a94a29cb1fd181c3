"""Type names for what the networks compute with, since MXNet has no types for it."""
from typing import Any

#: The module of operators that Gluon hands to ``hybrid_forward``: ``mx.nd``, or ``mx.sym`` while a graph is built.
Operators = Any
#: An ``NDArray``, or a ``Symbol`` while a graph is built.
Tensor = Any
