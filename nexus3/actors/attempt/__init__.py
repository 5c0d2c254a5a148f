"""One attempt of one request, in a task of its own on an incarnation.

* :mod:`.exchange` makes an attempt and decides what follows: settled, again later, or elsewhere.
* :mod:`.attempt` is the round trip: encode, send, read. :mod:`.answer` reads the response into the ticket, and settles
  it. :mod:`.watch` keeps the limits of the steps meanwhile.
* :mod:`.hedged` runs two attempts side by side where the settings want that.
* :mod:`.credentials` spells the key for one attempt, and takes it out of what the provider says; :mod:`.fetched_key` is
  one that an application's function returns.
* :mod:`.tapped` tells a listener to the wire what comes and goes.
"""
