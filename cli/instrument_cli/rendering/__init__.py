"""Draw what the commands found: on a terminal with colour and within its width, into a pipe plain and complete."""
