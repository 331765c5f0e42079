"""`… STARTER program` or `… STARTER judge TO FROM`: started by `programs.py`."""

import sys

from nightbench.accuracy.scoring.sandbox import judging, program
from nightbench.accuracy.scoring.sandbox.confinement import end_with

starter, role, *descriptors = sys.argv[1:]
if starter != "0":  # 0: bubblewrap ends it
    end_with(int(starter))
if role == "judge":
    judging.main(*map(int, descriptors))
else:
    program.main()
