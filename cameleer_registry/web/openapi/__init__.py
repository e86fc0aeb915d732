"""The API described by itself: an OpenAPI 3.1 document.

The texts about addresses are in :mod:`~cameleer_registry.web.openapi.operations`, one entry each.
Everything else is derived from what the server works with: methods and addresses from the router,
bodies from the models, their rules and their docstrings, problems from the exceptions.
"""
