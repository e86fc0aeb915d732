"""The HTTP surface: requests become calls of the node, and what it says becomes responses.

The whole map of addresses stands in :mod:`~cameleer_registry.web.routes`.
"""
