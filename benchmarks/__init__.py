"""What the server costs, measured side by side with what could be had instead.

``python -m benchmarks`` runs all measures; ``README.md`` here has the table, and what it means.
"""
