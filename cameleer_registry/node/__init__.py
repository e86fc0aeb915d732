"""The asyncio shell around the core: it reads clocks, draws ids, writes to sockets, and waits.

Start reading at :mod:`~cameleer_registry.node.node`.
"""
