"""What outlives incarnations: one slot a provider. Plain synchronous state; nothing here opens a connection.

* :mod:`.slot` is the whole: what the front desk, the incarnation and the supervisor see of it.
* :mod:`.ledger` has every accepted ticket that is not settled: how it comes in, and the one way out. What becomes of
  those that ran when their incarnation died is :mod:`.fate`'s table.
* :mod:`.mailbox` keeps who must wait, in the order of :mod:`.fair_queue`.
* :mod:`.dispatch` leads from there through the gates to one of the :mod:`.places`.
* :mod:`.alarm` is the one timer for all that is due; :mod:`.snapshot` is what can be seen from outside.
"""
