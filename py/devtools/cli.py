"""The commands of developers, each in a module that is loaded when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli import show_version
from hub.dispatch import call

app = typer.Typer(
    name="hub dev",
    help="Developer tools: test, measure, mutate and crash the Digital Hub.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Take the options that belong to no command."""


@app.command("test", context_settings=_PASS_ON)
def run_tests(
    context: typer.Context, lint: Annotated[bool, typer.Option(help="Run the linters too.")] = True
) -> None:
    """Run the linters and pytest; further arguments are passed to pytest."""
    call("devtools.test_run", "test", context.args, lint=lint)


@app.command("long-form", context_settings=_PASS_ON)
def long_form(context: typer.Context) -> None:
    """Run the long forms of the proofs; further arguments are passed to pytest."""
    call("devtools.test_run", "long_form", context.args)


@app.command(context_settings=_PASS_ON)
def matrix(
    context: typer.Context,
    postgresql: Annotated[
        list[str] | None,
        typer.Option(help="Major version, or folder of PostgreSQL's programs; may be repeated."),
    ] = None,
    python: Annotated[
        list[str] | None, typer.Option(help="Version such as 3.13, or a program; may be repeated.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Run only what differs most between versions.")
    ] = False,
) -> None:
    """Run the tests on each PostgreSQL and Python of the machine; arguments after -- are passed to pytest."""
    call(
        "devtools.matrix",
        "run",
        context.args,
        postgresql=postgresql or [],
        python=python or [],
        quick=quick,
    )


@app.command()
def docs(
    check: Annotated[bool, typer.Option("--check", help="Report stale pages, write nothing.")] = False,
    build: Annotated[bool, typer.Option("--build", help="Build the site into .cache/site, too.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the site on loopback until Ctrl-C.")] = False,
) -> None:
    """Regenerate the generated pages of docs/."""
    call("devtools.docs", "docs", check=check, build=build, serve=serve)


@app.command()
def repin() -> None:
    """Pin the SHA-256 of the sql/schema files in migrations/ (before the first release)."""
    call("devtools.pins", "run")


@app.command()
def release(version: Annotated[str, typer.Argument(help="Version, such as 1.0.0.")]) -> None:
    """Record the sql/schema files as released, so that no one pins them again."""
    call("devtools.pins", "record_release", version)


@app.command()
def lock(
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Pin the newest allowed versions.")] = False,
) -> None:
    """Pin the dependencies of pyproject.toml with their hashes in requirements/."""
    call("devtools.locks", "run", upgrade=upgrade)


@app.command()
def types() -> None:
    """Regenerate web/common/database.ts, the types of the API, from the database."""
    call("devtools.typescript", "run")


@app.command("demo-erp")
def demo_erp() -> None:
    """Run the demo with a real Tryton as the ERP; the first run takes some minutes to install it."""
    call("devtools.tryton.demo", "run")


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Stop within three minutes.")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write charts (SVG) into this folder.")] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Show what costs most instead.")] = False,
    cpu: Annotated[
        bool, typer.Option("--cpu", help="Measure only the processor time of an order (Linux, 90 s).")
    ] = False,
    compare: Annotated[
        list[Path] | None,
        typer.Option(help="Checkout whose processor time is measured too; may be repeated."),
    ] = None,
    outbox: Annotated[
        bool, typer.Option("--outbox", help="Measure only the outbox, beside a bare queue.")
    ] = False,
    stock: Annotated[bool, typer.Option("--stock", help="Measure only a stock sync, beside COPY.")] = False,
    lists: Annotated[
        bool, typer.Option("--lists", help="Measure only lists, with up to a million orders.")
    ] = False,
    scale: Annotated[
        bool,
        typer.Option(
            "--scale", help="Measure lists, jobs, orders and the check with up to 10 million orders (50 GB)."
        ),
    ] = False,
    sizes: Annotated[
        str, typer.Option(metavar="N,N,...", help="Numbers of orders for --lists and --scale.")
    ] = "",
    contention: Annotated[
        int | None,
        typer.Option(metavar="ORDERS", help="Submit only so many orders for ten products."),
    ] = None,
    gateway: Annotated[
        bool, typer.Option("--gateway", help="Measure only orders and lists over HTTP (needs wrk).")
    ] = False,
    cache: Annotated[
        bool,
        typer.Option("--cache", help="Measure only the catalogue of the cache, beside the view (needs wrk)."),
    ] = False,
    hot: Annotated[
        bool, typer.Option("--hot", help="Measure only heap-only updates, with and without fillfactor.")
    ] = False,
    database: Annotated[
        str | None, typer.Option(help="URL of a superuser; without it, a throwaway cluster is used.")
    ] = None,
) -> None:
    """Measure orders, lists, the outbox and a stock sync beside their floors."""
    parts = {
        "cpu": cpu,
        "outbox": outbox,
        "stock": stock,
        "lists": lists,
        "scale": scale,
        "contention": contention is not None,
        "gateway": gateway,
        "cache": cache,
        "hot": hot,
    }
    call(
        "devtools.bench",
        "run",
        quick=quick,
        json_file=json,
        plot_folder=plot,
        database=database,
        profile_only=profile,
        only=[name for name, chosen in parts.items() if chosen],
        compare=compare or [],
        sizes=[int(size) for size in sizes.split(",") if size],
        **({} if contention is None else {"orders": contention}),
    )


@app.command()
def mutate(
    only: Annotated[
        list[str] | None, typer.Option(help="Part of a name, or a pattern; may be repeated.")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="List the mutants and stop.")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Write the verdicts to this file.")] = None,
    processes: Annotated[int, typer.Option(help="Number of mutants tested at once.")] = 2,
    near: Annotated[
        bool, typer.Option("--near", help="Run only the tests of the mutant's own domain.")
    ] = False,
) -> None:
    """Remove one rule at a time and verify that a test fails; exit code 1 if a mutant survives."""
    call(
        "devtools.mutation",
        "run",
        only=only or [],
        list_only=list_only,
        json_file=json,
        processes=processes,
        near=near,
    )


@app.command("crash-test")
def crash_test(
    kills: Annotated[int, typer.Option(help="Number of kills.", min=1, max=1000)] = 50,
    seed: Annotated[int | None, typer.Option(help="Seed of an earlier run, to repeat it.")] = None,
    seconds: Annotated[float, typer.Option(help="Stop killing after this many seconds.", max=7200)] = 900,
    people: Annotated[int, typer.Option(help="Number of buyers, and of clerks.", min=2, max=16)] = 4,
    pause: Annotated[float, typer.Option(help="Seconds that each rests on average.", min=0, max=5)] = 0.07,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Kill every program under load and verify that no acknowledged write is lost."""
    call(
        "devtools.crash_test",
        "run",
        kills=kills,
        seed=seed,
        seconds=seconds,
        people=people,
        pause=pause,
        json_file=json,
    )


@app.command()
def failover(
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Kill, freeze and switch the leader of a Patroni cluster under load; exit code 1 if an order is lost."""
    call("devtools.failover", "run", json_file=json)


@app.command()
def pooling(
    clients: Annotated[int, typer.Option(help="Number of clients.", min=100, max=900)] = 500,
    seconds: Annotated[float, typer.Option(help="Length of each load.", min=1, max=3600)] = 60,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
) -> None:
    """Load gateway and PgBouncer with many clients on few connections; exit code 1 if one sees an error."""
    call("devtools.pooling", "run", clients=clients, seconds=seconds, json_file=json)


@app.command()
def stateful(
    steps: Annotated[int, typer.Option(help="Number of steps.", min=80, max=10_000_000)] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed; the same one repeats the same sequences.")] = 1,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Search for the shortest sequence that fails.")
    ] = False,
) -> None:
    """Call the API at random and compare the hub with the reference model after each step."""
    call("devtools.stateful_run", "run", steps=steps, seed=seed, shrink=shrink)
