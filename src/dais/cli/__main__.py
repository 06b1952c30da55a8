"""`python -m dais.cli` is `dais`."""

from dais.cli import main

raise SystemExit(main())
