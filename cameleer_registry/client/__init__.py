"""What agents and operators' programs hold in their hands.

:class:`Agent` is registered, LIVE and connected while it runs, and carries out commands.
:class:`Operator` asks about agents and sends them commands.
"""

from ..core.model import Ack, CommandEvent, Outcome, Target
from .agent import Agent
from .operator import Operator

__all__ = ["Ack", "Agent", "CommandEvent", "Operator", "Outcome", "Target"]
