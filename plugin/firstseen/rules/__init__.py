"""Detection rules: from Elastic's TOML to what can be asked of a record, and where in a buffer to ask it.

``loader`` reads files into ``rule.Rule`` values, ``ruleset`` holds them together and finds the places in a buffer that
are worth a look. Whether a match is news is not decided here but in ``detect``. Only ``loader`` opens files.
"""
