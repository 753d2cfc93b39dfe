"""The local AWS API: ministack started in this process, with what it lacks added and its faults mended."""
