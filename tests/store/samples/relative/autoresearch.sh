#!/bin/bash
node "$(dirname "$0")/benchmark.js"
