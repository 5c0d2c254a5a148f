"""The caller's side of a request.

* :mod:`.submission` is what is sent on a channel to the supervisor, and a provider bound to one model.
* :mod:`.stream` is the reply: events in order, one terminal, the end. Leaving it ends the request.
* :mod:`.forward` hands a reply on to a channel that the caller brought.
"""
