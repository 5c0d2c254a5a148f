"""What embedders need to test their own apps."""

from nexus3.runtime import Supervisor


def crash(supervisor: Supervisor, name: str) -> None:
    """Make the present incarnation of provider ``name`` end by an ``ActorFault`` at its next checkpoint.

    Its supervisor restarts it; what becomes of its requests follows the decision table.
    """
    supervisor.slot(name).fault.set()
