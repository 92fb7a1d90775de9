"""An agent for tests: serves our plugins and the odd ones.

python -m tests.netns.agent.serving SOCKET [--health ADDRESS] [--queue DIR]
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from cni_bridge import Bridge
from cni_host_local import HostLocal
from cnisdk import Plugin
from cnisdk.agent import main
from tests.netns.agent.odd import PLUGINS


def load() -> Mapping[str, type[Plugin[Any]]]:
    return {"bridge": Bridge, "host-local": HostLocal, **PLUGINS}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--health", default="")
    parser.add_argument("--queue", default="/nonexistent")
    arguments = parser.parse_args()
    status = main.main(
        path=arguments.socket,
        load=load,
        health_address=arguments.health,
        queue_directory=arguments.queue,
    )
    sys.exit(status)
