"""The commands: thin, and quick to start because each imports its work when it runs."""


def main() -> None:
    """Entry point of the `driftd` command."""
    from driftd.cli.root import app

    app()


__all__ = ["main"]
