"""The journal: facts, durable in the order in which they came about, or nowhere.

Start reading at :mod:`~cameleer_registry.node.journal.port`.
"""
