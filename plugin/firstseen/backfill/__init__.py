"""The state filled from past logs, in any order, by several processes, and taken up again where it was broken off.

    blocks     a file as blocks of events, bounded in memory
    gathering  what the engine claims, gathered instead of kept
    reading    some files through the engine: one task, told of in reports
    tasks      which files are to be read, and what of them was read before
    crew       tasks done by processes beside this one
    filling    reports written into the state, each with the mark of how far it got

Nothing alerts here, so order means nothing: of a term, the first sighting is the earliest and the last is the latest.
"""
