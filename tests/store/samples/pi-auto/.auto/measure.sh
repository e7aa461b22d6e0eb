#!/bin/sh
echo "METRIC bundle_kb=190"
