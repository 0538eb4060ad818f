"""The result of a run of `hub migrate`."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """What a migration changed; nothing on a second run."""

    steps: list[str] = field(default_factory=list)
    """Ids of the yoyo migrations that were applied."""
    files_applied: int = 0
    """Number of repeatable files that were applied: all, if one of them changed."""
    files_changed: list[str] = field(default_factory=list)
    """Repeatable files that are new or edited."""
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
            self.steps
            or self.files_applied
            or self.jobs_scheduled
            or self.jobs_unscheduled
            or self.secret_stored
        )

    def lines(self) -> list[str]:
        """The lines to print."""
        out = [f"applied {step}" for step in self.steps]
        if self.files_applied:
            changed = f"{len(self.files_changed)} new or changed, {len(self.files_removed)} removed"
            out.append(f"applied {self.files_applied} files of functions, policies and api ({changed})")
        out += [f"scheduled hub:{job}" for job in self.jobs_scheduled]
        out += [f"unscheduled hub:{job}" for job in self.jobs_unscheduled]
        if self.secret_stored:
            out.append("stored the signing secret for login")
        if not self.changed:
            out.append("nothing to do")
        return out + self.remarks
