"""`python -m jobs` is `resnet-sweep`: the image starts every stage by it."""

import sys

from jobs.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
