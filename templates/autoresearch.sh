#!/bin/sh
# Measures this task as the orchestrator does: run it in the repository, it prints METRIC name=value lines.
here=$$(CDPATH= cd -- "$$(dirname -- "$$0")" && pwd) || exit
: "$${ORCH_TASK_DIR:=$$here}"
export ORCH_TASK_DIR
$run
