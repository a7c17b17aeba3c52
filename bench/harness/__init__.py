"""What every case uses: stopwatches, contenders that take turns, workloads, and how rows are written."""
