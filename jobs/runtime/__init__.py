"""What every process needs: settings, logs, signals, retrying, child processes."""
