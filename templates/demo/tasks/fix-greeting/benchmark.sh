#!/bin/sh
# Prints how many of the three cases fail.
failures=0
expect() {
    wanted=$1
    shift
    [ "$(sh greet.sh "$@")" = "$wanted" ] || failures=$((failures + 1))
}
expect "Hello, Ada!" Ada
expect "Hello, world!"
expect "Hello, Ada and Bob!" Ada Bob
echo "METRIC failures=$failures"
