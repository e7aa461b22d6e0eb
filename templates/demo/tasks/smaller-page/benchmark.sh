#!/bin/sh
# Prints the size of the page; one that has lost its text counts as a failure.
grep -q "It greets." page.html || exit 1
echo "METRIC size_bytes=$(wc -c < page.html | tr -d ' ')"
