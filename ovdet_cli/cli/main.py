"""The app; the one place where an error becomes a message and an exit code."""

import os
import signal
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ovdet_cli.cli import console, convert, detect, doctor, models, query, report, selftest, train, vocab
from ovdet_cli.cli import eval as evaluation
from ovdet_cli.errors import OvdetError

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 finished but some inputs failed, 130 interrupted."


class _Group(TyperGroup):
    """Turns what a user can mend into one line; any other exception is our bug and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OvdetError as error:
            console.fail(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            console.say("interrupted")
            raise typer.Exit(130) from error
        except BrokenPipeError as error:
            # The reader has gone (`| head`); what is still buffered must not raise again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from error


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"Find anything you can name in pictures and video. {EXIT_CODES}",
)
app.command("detect", epilog=EXIT_CODES)(detect.detect)
app.command("video", epilog=EXIT_CODES)(detect.video)
app.command("query", epilog=EXIT_CODES)(query.query)
app.command("convert", epilog=EXIT_CODES)(convert.convert)
app.command("report")(report.report)
app.command("eval")(evaluation.evaluate)
app.command("train", epilog=EXIT_CODES)(train.train)
app.add_typer(models.app, name="models")
app.add_typer(vocab.app, name="vocab")
app.command("doctor")(doctor.doctor)
app.command("selftest")(selftest.selftest)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from ovdet_cli import __version__

        console.out.print(f"ovdet {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def ovdet(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Find anything you can name in pictures and video."""


def main() -> None:
    """Entry point of the `ovdet` command."""
    # Libraries warn of things like a damaged EXIF block, for developers; `python -W default -m ovdet_cli` shows them.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # Slurm and spot machines end a job with SIGTERM: it closes files as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
