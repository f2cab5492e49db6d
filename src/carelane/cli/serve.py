"""``carelane serve``: run a hub."""

import sys

from carelane.cli.console import run


def serve() -> None:
    """Run the hub: listeners, lanes, dashboard and API, until Ctrl-C or SIGTERM, then drain and stop.

    Everything is kept in CARELANE_DATA (default: .carelane). Started again, it goes on where it was.
    """
    from carelane.assembly import serve as serve_hub  # noqa: PLC0415  (imports of seconds that --help does without)
    from carelane.ops.logs import configure  # noqa: PLC0415
    from carelane.ops.settings import Settings  # noqa: PLC0415

    configure(pretty=sys.stderr.isatty())
    run(serve_hub(Settings()))
