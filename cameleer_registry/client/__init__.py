"""What operators' programs and agents hold in their hands.

:class:`Operator` asks about agents and sends them commands.
"""

from .operator import Operator

__all__ = ["Operator"]
