"""One file a policy, pure: what may be sent, when, and what an outcome teaches. Time and dice are arguments.

Each state machine has the same three moments: *ask* whether an attempt may begin (:mod:`.verdict`; changes nothing),
*begin* it, and tell how it *ended*. All are asked before any begins, so that none must take back what it granted
because a later one said no. What begins also ends, once, whatever became of it: cancelled, settled by somebody else,
or lost with its incarnation. Changes of state come back as values, each once, for the log.

The shell around them, one a slot, is :mod:`.gatekeeper`; it is shown the request as an :mod:`.ask`, and has what it
costs charged by :mod:`.billing`, which all slots share.

THE LIST, in the order in which a ticket passes it, before every attempt:

1. **breaker** (of the provider): where nobody is at home, nothing else matters; and its refusal comes at once, so that
   a fallback can.
2. **spend** (of the supervisor, the provider, the caller): a request that may not be paid for must not wait for it.
3. **cooldown** (of the model): what the provider asked for outright.
4. **rates** (of the provider, then of the model): what it allows by the minute. Last of those that make a request wait:
   they are nearly always the shortest wait, and the first refusal or the longest wait is the answer.
5. the place: ``max_connections``, held by the slot, taken last, for only what can start at once may hold one.

After an attempt that failed, and before the next: **retry** says whether this request may be sent again, and after what
delay; then **budget**, whether all requests together may. The next attempt asks the whole list anew, and waits without
a place. Beside the list: **hedge** decides on a second attempt while the first one is silent, **blame** what an outcome
means to the breaker, **estimate** and **prices** what a request will take and cost.
"""
