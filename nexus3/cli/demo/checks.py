"""The facts that the demo stands for: named, checked one by one, counted at the end."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Check:
    """One fact. ``name`` is a sentence that is true where the check has passed."""

    name: str
    passed: bool


@dataclass
class Checks:
    """All facts of one run, in the order in which they were checked."""

    done: list[Check] = field(default_factory=list)

    def expect(self, name: str, passed: bool) -> None:
        """Note whether the fact ``name`` holds."""
        self.done.append(Check(name, passed))

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.done if not check.passed]

    @property
    def all_passed(self) -> bool:
        """Everything went as told; false where nothing was checked."""
        return bool(self.done) and not self.failed

    @property
    def verdict(self) -> str:
        """The one line at the end: ``12 of 12 as told``."""
        return f"{len(self.done) - len(self.failed)} of {len(self.done)} as told"
