"""Agents: who does the work. A plug-in is one small adapter; it sees `core` and `proc` only (see `protocol`)."""
