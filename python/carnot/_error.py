"""What could not be done: problem, cause, remedy."""

from __future__ import annotations


class Error(Exception):
    """One error in the shape of a finding; each of the three texts is one sentence.

    Attributes: ``code`` (family and name, ``config/unknown-key``), ``problem`` (with the numbers), ``cause``,
    ``remedy`` (an action) and ``place`` (where it is, or ``None``).
    """

    def __init__(self, code: str, problem: str, cause: str, remedy: str, place: str | None = None) -> None:
        super().__init__(code, problem, cause, remedy, place)
        self.code = code
        self.problem = problem
        self.cause = cause
        self.remedy = remedy
        self.place = place

    def __str__(self) -> str:
        place = f"  {self.place}" if self.place else ""
        return (
            f"{self.code}{place}\n      problem  {self.problem}\n"
            f"      cause    {self.cause}\n      remedy   {self.remedy}"
        )
