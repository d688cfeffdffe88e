"""One file a command: it reads its options, calls the library and hands the result on to be drawn."""
