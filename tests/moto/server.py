"""AWS on the laptop: moto's HTTP server with its gaps mended and a control channel beside it.

    server.py [--host 127.0.0.1] [--port 5000] [--record FILE | --replay FILE]

Prints one line, `moto listens on http://HOST:PORT`, when it takes requests (port 0 picks a free one), and a line for
each mistake of its own. SIGINT and SIGTERM end it.

`patches/` holds the mends, one per file. `front.py` stands before moto: it keeps requests apart that moto can't take
at once, counts them, notes who calls, and gives Terraform an answer again that got lost (`again.py`). `control.py` is
the control channel, `/_laptop/...`, by which the EC2 host, the Lambda host and the tests see and steer what AWS keeps
to itself. `states.py` says how instances change state, `tape.py` how a deployment is kept and had again in seconds.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

# Read by moto when it is imported: the instance profile's managed policies exist in AWS, so they must here.
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")

from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: E402

import patches  # noqa: E402
import tape  # noqa: E402
from front import Front  # noqa: E402

# moto loads a service at its first call, which takes EC2 more than a second. These are loaded while Terraform starts;
# not beside a recording, as loading may draw ids too.
WARM = ("ec2", "sqs", "dynamodb", "ssm", "s3", "awslambda", "apigatewayv2", "iam", "sts", "logs", "events", "scheduler")


class Handler(WSGIRequestHandler):
    """One connection."""

    # An answer goes out in two writes, head and body. Nagle's algorithm would hold the body back until the client
    # has acknowledged the head, 40 ms later.
    disable_nagle_algorithm = True

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """No line per request: thousands would bury the one that matters."""


def build(record: Path | None, recorded: Path | None) -> Front:
    """The application, with what was recorded already asked of it."""
    patches.install()
    front = Front(tape.Tape(record) if record else None)
    if record or recorded:
        tape.seed(tape.SEED)
    if recorded:
        tape.replay(front, recorded)
        tape.seed(None)
        front.calls.reset()
    return front


def serve(host: str, port: int, front: Front) -> int:
    """Serves until a signal; the exit code."""
    try:
        server = make_server(host, port, front, threaded=True, request_handler=Handler)
    except SystemExit:
        # werkzeug has said why on stderr.
        return 1
    # Threads that wait in a long poll must not keep the process alive.
    server.daemon_threads = True

    def stop(_signal: int, _frame: Any) -> None:
        # Not from this thread: shutdown() waits for serve_forever, which runs in it.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    # moto itself calls back here, e.g. when a recording is replayed.
    os.environ["MOTO_PORT"] = str(server.server_port)
    print(f"moto listens on http://{host}:{server.server_port}", flush=True)
    if not front.records:
        threading.Thread(target=front.warm, args=(WARM,), daemon=True).start()
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


def main(argv: list[str]) -> int:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(description="AWS on the laptop: moto, mended")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="port to bind, 0 for a free one (default: %(default)s)")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--record", type=Path, metavar="FILE", help="keep all requests until POST /_laptop/recording/stop")
    group.add_argument("--replay", type=Path, metavar="FILE", help="begin with the requests that were kept")
    args = parser.parse_args(argv)
    if args.replay and not args.replay.is_file():
        parser.error(f"--replay: found {args.replay}, expected a recording")
    return serve(args.host, args.port, build(args.record, args.replay))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
