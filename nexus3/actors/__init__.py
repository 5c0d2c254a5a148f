"""Who does it: tickets, slots, mailboxes, the provider actor and its connection pool, the caller's side.

Imports ``wire``, ``observe`` and ``errors``; never ``supervisor``.
"""
