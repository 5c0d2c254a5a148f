"""Who does it. A request's way leads through these rooms:

1. :mod:`.reply`: what a caller submits, and the stream of events that comes back by a :mod:`.pipe`.
2. :mod:`.admission` numbers its :mod:`.ticket`, and gives it to the slot to which its :mod:`.route` leads.
3. :mod:`.slot`: what a provider keeps through all incarnations: ledger, mailbox, places.
4. :mod:`.gates`: retry state; whether an attempt may begin now.
5. :mod:`.provider` is the actor: one incarnation, and a task for each attempt.
6. :mod:`.attempt`: one round trip, and what follows from it.
7. :mod:`.http`: the connections of one incarnation, taken through :mod:`.pool`.

Imports ``wire``, ``observe`` and ``errors``; never ``supervisor``.
"""
