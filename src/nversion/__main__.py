"""``python -m nversion``: the command line."""

from nversion.cli import main

if __name__ == "__main__":
    main()
