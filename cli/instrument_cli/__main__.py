"""`python -m instrument_cli` is the `metrics` command."""

from instrument_cli.app import main

if __name__ == "__main__":
    main()
