"""python3 -m ais_bench."""

import sys

if __name__ == "__main__":
    from ais_bench.infer.run import main

    sys.exit(main(sys.argv))
