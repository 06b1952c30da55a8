"""`python -m dais.eai` is `eai`."""

from dais.eai import main

raise SystemExit(main())
