"""Event streams: what is written to them, by whom, and how a slow reader is found.

Start reading at :mod:`~cameleer_registry.node.streams.outgoing`.
"""
