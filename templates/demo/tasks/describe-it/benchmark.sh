#!/bin/sh
# Prints how many ways to call greet.sh the README shows.
echo "METRIC described=$(grep -c '^    greet.sh' README.md)"
