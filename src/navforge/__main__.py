"""`python -m navforge` is the `navforge` command."""

import sys

from navforge.cli.main import main

sys.exit(main())
