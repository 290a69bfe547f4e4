"""Short benchmarks, each a ratio against its baseline in one run: `make bench`."""

from benchmarks import filtered_lrelu

if __name__ == "__main__":
    filtered_lrelu.main()
