"""hub doctor: prints the findings of the checks in hub.doctor."""

import json
from dataclasses import asdict

from hub.console import out, say
from hub.doctor import machine, stack
from hub.errors import UserError


def doctor(*, as_json: bool) -> None:
    """Print a line for each check, and for a fault what it means and what to do next.

    Raises UserError if a check fails, so that the exit code is 1.
    """
    findings = [*machine.check(), *stack.check()]
    if as_json:
        say(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            style = "" if finding.passed else "red"
            mark = "ok  " if finding.passed else "FAIL"
            out.print(f"{mark}  {finding.text}", style=style, markup=False)
            if not finding.passed:
                say(f"      means: {finding.meaning}")
                say(f"      next:  {finding.next_step}")
    failed = sum(not finding.passed for finding in findings)
    if failed:
        raise UserError(
            f"{failed} of {len(findings)} checks failed", hint="see the lines that begin with FAIL"
        )
