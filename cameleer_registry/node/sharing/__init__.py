"""What makes a node one of many: its way to the log, and its place among the others.

Start reading at :mod:`~cameleer_registry.node.sharing.shared`.
"""
