"""A model that says what a script says: for the demo and for tests of real agents, on loopback, without a key.

`serve(script)` runs it in this process, `python -m orchestrator.modelserver` as a process of its own. `script.py` tells
how a script is written, `connection.py` what is answered. Nothing of the queue knows of it.
"""

from __future__ import annotations

from orchestrator.modelserver.connection import Asked
from orchestrator.modelserver.script import Script, parse
from orchestrator.modelserver.server import Server, serve

__all__ = ["Asked", "Script", "Server", "parse", "serve"]
