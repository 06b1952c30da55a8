"""`python -m dais` is `dais`."""

from dais.cli import main

main()
