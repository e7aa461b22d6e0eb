"""The command line: options in, a sentence or one JSON document out. All decisions are made further in."""
