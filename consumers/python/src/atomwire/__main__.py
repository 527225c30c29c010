"""`python -m atomwire`."""

import sys

from atomwire.cli.main import main

sys.exit(main())
