"""hub replica promote, hub replica remove."""

from hub.console import out, say
from hub.errors import UserError
from hub.stack import replica
from hub.stack.layout import Stack
from hub.stack.up import locked, up


def promote(*, yes: bool) -> None:
    """Replace the primary by its standby and start the stack. Raises UserError without `yes`."""
    if not yes:
        raise UserError(
            "this stops the primary and makes its standby the stack's PostgreSQL",
            hint="to confirm: ./hub replica promote --yes",
        )
    stack = Stack.existing()
    with locked(stack.folder), out.status("promoting the standby ..."):
        kept = replica.promote(stack)
    say(f"the standby is the primary now; the former primary's data is in {kept}")
    up()
    say("the stack has no standby now: ./hub up --with-replica builds one")


def remove() -> None:
    """Remove the standby and its gateway."""
    stack = Stack.existing()
    with locked(stack.folder), out.status("removing the standby ..."):
        replica.remove(stack)
    say("the standby is removed")
