"""`… STARTER program` or `… STARTER judge TO FROM`: started by `programs.py`."""

import sys

from nightbench.accuracy.scoring.sandbox import running_program, running_tests
from nightbench.accuracy.scoring.sandbox.confinement import end_with

starter, role, *descriptors = sys.argv[1:]
if starter != "0":  # 0: bubblewrap ends it
    end_with(int(starter))
if role == "judge":
    running_tests.main(*map(int, descriptors))
else:
    running_program.main()
