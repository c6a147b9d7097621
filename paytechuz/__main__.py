"""`python -m paytechuz`: the command, where it is not on the PATH."""

from paytechuz.cli import main

main()
