"""Searches: what to evaluate next, each in a file of its own, all behind :class:`dse.searches.protocol.Search`.

``methods`` names them, ``conformance`` is the suite that each of them, and any other, must pass.
"""
