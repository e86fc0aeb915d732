"""The registry as plain data and arithmetic.

Nothing in this package awaits, opens a socket, reads a clock or draws a random number: callers
pass ``now`` and every new id. Start reading at :mod:`~cameleer_registry.core.registry`.
"""
