#!/bin/sh
# Replace this by something that measures the goal. It runs in the repository's worktree and prints one line per number:
#   echo "METRIC failures=$(./run-tests 2>&1 | grep -c FAIL)"
# Then remove `draft: true` from autoresearch.md, or say: orchestrator queue NAME
echo "this benchmark is still to be written" >&2
exit 1
