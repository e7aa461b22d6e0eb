"""The four protocols, one module each: `read` a request, tell the answer `whole` or as a `stream`, `refuse` with a fault."""
