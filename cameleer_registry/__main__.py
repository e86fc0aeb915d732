"""``python -m cameleer_registry``."""

from .cli import main

main()
