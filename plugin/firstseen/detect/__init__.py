"""What a match means over time: from the state before and one event to the verdict and the state after.

``keys`` gives terms, rules and alerts their unforgeable names, ``law`` says what a law is, ``new_terms``, ``threshold``
and ``suppression`` are those there are, ``matches`` tells what a match of a rule asks of its law, ``reasons`` why the
law says what it says, and ``label`` writes down what an alert says. Nothing here keeps anything, reads a clock or
touches a file: the keeping is `firstseen.store`'s. The laws are specified by the cases in ``tests/spec/new_terms/`` and
``tests/spec/threshold/``, and held against Elasticsearch's runs in ``tests/property``.
"""
