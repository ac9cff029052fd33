"""What makes training on a CPU faster, and changes no result beyond rounding. The network itself knows nothing of it.

`layers` gives a network faster layers when its training begins, where `timing` has shown that they are faster on this
CPU, and `memory` keeps freed memory while a training runs.
"""

# The thresholds in this package were measured with this version of torch (tests/benchmarks/RESULTS.md). With another
# version everything still computes the same, but may no longer be the faster way: measure again, and change this.
MEASURED_WITH_TORCH = "2.15.0"
