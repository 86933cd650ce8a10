"""What the tests of jobs run in processes of their own."""

import os
import signal
import time


def die(tell):
    tell("about to")
    os.kill(os.getpid(), signal.SIGKILL)


def work(path, seconds, tell):
    tell("working")
    time.sleep(seconds)
    path.write_text("done")


def refuse(tell):
    from genbench.errors import UsageError

    raise UsageError("this cannot be")


def crash(tell):
    raise RuntimeError("two\nlines")


def wait_for_the_end(path, tell):
    path.write_text(str(os.getpid()))
    time.sleep(60)


def parent_of_one_that_waits(path):
    from genbench.jobs import Job, run_jobs

    run_jobs([Job("waits", wait_for_the_end, (path,))], 1)


def tell_what_is_held(tell):
    tell(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
