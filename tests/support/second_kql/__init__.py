"""A second KQL, for tests only: the language written down once more, with nothing of the package in it.

``grammar`` is a table of productions and a matcher of parsing expressions; ``matching`` decides about plain JSON
documents with a table of types of its own. Slow, and in no way clever.
"""
