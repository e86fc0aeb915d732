"""The operators' event feed: what is told, the ring that keeps it, and those who follow.

Start reading at :mod:`~cameleer_registry.node.feed.feed`.
"""
