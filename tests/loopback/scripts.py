"""Scripts for the server's process mode, which takes them from a file."""

from nexus3.loopback import Answer, Received

answers = [Answer("from a file")]


def decide(request: Received) -> Answer:
    return Answer(f"decided for {request.model}")
