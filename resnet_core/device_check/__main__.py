"""The processes that the check starts, such as `python -m resnet_core.device_check ranks cpu 0 2 127.0.0.1:1234`."""

import sys

from resnet_core.device import select_device
from resnet_core.device_check.ranks import add_up
from resnet_core.device_check.sharing import serve

program, name, *arguments = sys.argv[1:]
device = select_device(name)
if program == "sharing":
    (steps,) = arguments
    serve(device, int(steps), sys.stdin)
else:
    assert program == "ranks"
    rank, size, address = arguments
    print(add_up(device, int(rank), int(size), address), flush=True)
