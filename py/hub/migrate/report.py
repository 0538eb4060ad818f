"""The result of a run of `hub migrate`."""

from dataclasses import dataclass, field

_SHOWN = 20


@dataclass
class Report:
    """What a migration changed; nothing on a second run."""

    steps: list[str] = field(default_factory=list)
    """Ids of the yoyo migrations that were applied."""
    objects: list[str] = field(default_factory=list)
    """What was done to functions, policies and api, a line each."""
    files_changed: list[str] = field(default_factory=list)
    """Repeatable files that are new or edited, if only in a comment."""
    files_removed: list[str] = field(default_factory=list)
    jobs_scheduled: list[str] = field(default_factory=list)
    jobs_unscheduled: list[str] = field(default_factory=list)
    secret_stored: bool = False
    remarks: list[str] = field(default_factory=list)
    """Sentences for the user, such as that pg_cron is not available."""

    @property
    def changed(self) -> bool:
        """Whether the migration changed the database."""
        return bool(
            self.steps or self.objects or self.jobs_scheduled or self.jobs_unscheduled or self.secret_stored
        )

    def lines(self) -> list[str]:
        """The lines to print."""
        out = [f"applied {step}" for step in self.steps]
        out += self.objects[:_SHOWN]
        if len(self.objects) > _SHOWN:
            out.append(f"and {len(self.objects) - _SHOWN} more of functions, policies and api")
        out += [f"scheduled hub:{job}" for job in self.jobs_scheduled]
        out += [f"unscheduled hub:{job}" for job in self.jobs_unscheduled]
        if self.secret_stored:
            out.append("stored the signing secret for login")
        if not self.changed:
            out.append("nothing to do")
        return out + self.remarks
