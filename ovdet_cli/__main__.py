"""`python -m ovdet_cli` is `ovdet`."""

from ovdet_cli.cli.main import main

if __name__ == "__main__":
    main()
