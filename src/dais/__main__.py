"""`python -m dais` is `dais`."""

from dais.cli import main

raise SystemExit(main())
