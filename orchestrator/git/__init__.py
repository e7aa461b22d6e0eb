"""The only caller of git: clean environment, no prompt, no hook, NUL-separated output, typed errors."""
