"""`metrics mcp`."""

from __future__ import annotations

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import settings


def mcp(source: options.Source = None) -> None:
    """Let an agent ask for its own metrics. A server of the Model Context Protocol on standard input and output.

    \b
    Example: metrics mcp
             metrics mcp --from /srv/agents/monitoring
    """
    try:
        from instrument_cli.mcp import server
    except ModuleNotFoundError as error:
        raise UsageError(f"metrics mcp needs {error.name}: pip install 'agent-instrument[mcp]'") from None
    server(settings(source), source if source and "://" in source else None).run("stdio")
