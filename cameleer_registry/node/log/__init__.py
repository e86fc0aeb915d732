"""The log that many nodes share: entries in one order, durable, and stamped.

Start reading at :mod:`~cameleer_registry.node.log.port`.
"""
