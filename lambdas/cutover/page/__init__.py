"""The status page: plain files, served by the status function."""
