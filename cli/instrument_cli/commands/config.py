"""`metrics config`."""

from __future__ import annotations

import re

import msgspec

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, resolved


def config(format: options.ShownFormat = "text", directory: options.Directory = None) -> None:
    """Show every setting and where it came from.

    \b
    Example: metrics config
             INSTRUMENT_SAMPLE_RATE=0.1 metrics config --format json
    """
    chosen = checked_format(format, options.SHOWN_FORMATS)
    found = resolved(directory)
    values = msgspec.structs.asdict(found.config)
    if values["hash_key"]:
        values["hash_key"] = "(set, not shown)"
    values["ship_to"] = tuple(re.sub(r"//[^@/\s]*@", "//…@", target) for target in values["ship_to"])
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json({name: {"value": values[name], "source": found.sources[name]} for name in values})
    from instrument_cli.rendering.page import current_page, show
    from instrument_cli.rendering.settings import draw_settings

    page = current_page()
    return show(draw_settings(values, found.sources, page), page)
