"""An agent registry and command-push server for Apache Camel observability agents.

::

    from cameleer_registry import NODE, Order, Settings, Target, create_app

    registry = create_app(Settings(stale_after=45))
    parent.add_subapp("/registry/", registry)
    …
    await registry[NODE].issue(Order(type="deep-trace"), Target.of_group("order-service-prod"))

What is imported from here is the public API; every other module may change between releases.

The names, and where they come from, stand in ``__init__.pyi``. Each is imported when it is first
used: who runs an agent, or asks a server, does not load the server.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
