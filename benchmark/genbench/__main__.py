"""`python -m genbench`: what `accelerate launch -m genbench` starts."""

from genbench.cli.entry import main

if __name__ == "__main__":
    main()
