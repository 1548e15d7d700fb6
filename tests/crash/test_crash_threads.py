"""Threads, signals, fork and exit around recordings and hits."""

import sys

import pytest
from crash_runner import run, scripts

SCRIPTS = scripts(r"""
=== sixteen_threads
import random, threading, traceback
sys.setswitchinterval(1e-5)
class Net:
    def __init__(self):
        self.n, self.items, self.table = 1, [1, 2], {"a": 1}
    def forward(self, x):
        y = self.step(x)
        out = [y] + [i * x for i in self.items]
        def late(z=y):
            return z + x
        return {"out": out, "late": late, "keys": [k for k in self.table]}
    def step(self, x):
        return x + self.n
net = Net()
seen = {"v": 0}
def remember(x):
    seen["v"] = x
    return [x]
fast, writes, errors = compiled(net.forward), compiled(remember), []
def mutate(r, k):
    if k == 6:
        net.n = r.randrange(3)
    elif k == 7:
        net.items[:] = [1, 2]
    elif k == 8:
        fast.reset()
    elif k == 9:
        fast.entries(), fast.stats()
    elif k == 10:
        net.table["a"] = r.randrange(3)
def work(seed):
    r = random.Random(seed)
    try:
        for i in range(200):
            k = r.randrange(14)
            if 5 < k < 11:
                mutate(r, k)
                continue
            x = r.randrange(3)
            got = fast(x)
            assert got["out"][1:] in ([x, 2 * x], []), got
            assert got["late"]() == got["out"][0] + x
            assert writes(x) == [x]
    except BaseException:
        errors.append(traceback.format_exc())
threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not errors, errors[0]
assert seen["v"] in range(3)

=== threads_record_one_code_object
import threading
sys.setswitchinterval(1e-5)
def inner(x, n):
    return sum([x + i for i in range(n)])
def f(x):
    return [inner(x, 20), inner(x, 3)]
errors = []
def work():
    for i in range(60):
        if compiled(f)(i) != f(i):
            errors.append(i)
threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not errors

=== tracer_in_one_thread_only
import threading
events = []
def tracer(frame, event, arg):
    events.append(event)
    return tracer
def f(x):
    total = 0
    for i in range(30):
        total += i * x
    return [total]
errors = []
def work(traced):
    sys.settrace(tracer if traced else None)
    for i in range(30):
        fast = compiled(f)
        if [fast(i), fast(i)] != [f(i), f(i)]:
            errors.append(i)
    sys.settrace(None)
threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(6)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not errors and "line" in events

=== keyboard_interrupt_storm
import signal
class Stop(Exception):
    pass
armed = False
def on_alarm(signum, frame):
    if armed:
        raise Stop
signal.signal(signal.SIGALRM, on_alarm)
def helper(x):
    return {"v": [x, x + 1]}
def f(x, box):
    for i in range(10):
        x = helper(x)["v"][1]
    box["last"] = x
    return [x]
stops = right = 0
for round in range(300):
    fast, box = compiled(f), {}
    armed = True
    signal.setitimer(signal.ITIMER_REAL, 1e-5 * (1 + round % 40))
    try:
        for i in range(4):
            assert fast(round, box) == [round + 10]
            assert box == {"last": round + 10}
        right += 1
    except Stop:
        stops += 1
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert box in ({}, {"last": round + 10})
    for i in range(3):
        assert fast(round, box) == [round + 10]
assert stops > 0 and right >= 0, (stops, right)

=== interrupt_main
import _thread
def f(x):
    _thread.interrupt_main()
    for i in range(100):
        x += i
    return x
for i in range(5):
    try:
        compiled(f)(1)
    except KeyboardInterrupt:
        continue
    raise AssertionError("the interrupt is lost")
def g(x):
    return [x]
fast = compiled(g)
for i in range(4):
    try:
        _thread.interrupt_main()
        fast(i % 2)
        for k in range(100):
            pass
    except KeyboardInterrupt:
        continue
    raise AssertionError("the interrupt is lost")
assert fast(7) == [7]

=== signal_handler_is_not_part_of_the_program
import signal, time
ticks = []
def on_alarm(signum, frame):
    ticks.append(signum)
signal.signal(signal.SIGALRM, on_alarm)
def add(a, b):
    return a + b
def f(x):
    for i in range(3000):
        x = add(x, i) if i % 2 else max(x, sorted([x, i])[0])
    return [x]
for round in range(30):
    fast = compiled(f)
    signal.setitimer(signal.ITIMER_REAL, 1e-4 * (1 + round % 10), 1e-4)
    want = fast(round)
    signal.setitimer(signal.ITIMER_REAL, 0)
    time.sleep(0.0005)
    before = len(ticks)
    for i in range(3):
        assert fast(round) == want
    assert len(ticks) == before, "a hit repeats the handler"
assert ticks

=== fork_while_recording
import os
state = {"pids": 0}
def f(x):
    pid = os.fork()
    state["pids"] += 1
    return [x, pid]
for i in range(3):
    value, pid = compiled(f)(5)
    if pid == 0:
        def g(y):
            return [y, state["pids"]]
        fast = compiled(g)
        good = [fast(1) for _ in range(3)] == [g(1)] * 3
        os._exit(0 if good and value == 5 else 3)
    assert os.waitpid(pid, 0)[1] == 0
def g(y):
    return [y]
fast = compiled(g)
fast(1), fast(1)
if (pid := os.fork()) == 0:
    os._exit(0 if [fast(1), fast(2), fast(2)] == [[1], [2], [2]] else 3)
assert os.waitpid(pid, 0)[1] == 0

=== exit_inside_a_recording
import atexit
atexit.register(lambda: sys.stdout.write("ok\n"))
def f(x):
    fast(x - 1) if x else sys.exit(0)
    return [x]
fast = compiled(f)
fast(1)
print("not reached")

=== exit_with_a_suspended_generator
import atexit
kept = []
def steps(n):
    try:
        for i in range(n):
            yield i
    finally:
        kept.append("closed")
def f(n):
    it = steps(n)
    kept.append(it)
    return next(it)
fast = compiled(f)
fast(5), fast(5), fast(5)
at_exit = compiled(lambda x: [x, len(kept)])
atexit.register(lambda: [at_exit(1) for _ in range(3)])
class Late:
    def __del__(self):
        try:
            [fast(i) for i in (1, 1, 2)]
        except Exception:
            pass
late = Late()
late.cycle = late
sys.keep_until_the_end = [late, fast, at_exit]

=== exit_under_daemon_threads
import threading, time
sys.setswitchinterval(1e-5)
def f(x):
    return [x + i for i in range(50)]
def work():
    while True:
        fast = compiled(f)
        fast(1), fast(1)
for i in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)

=== faulthandler_dumps
import os, time
sink = open(os.devnull, "w")
def f(x):
    faulthandler.dump_traceback(sink)
    for i in range(2000):
        x += i
    return [x]
faulthandler.dump_traceback_later(0.001, repeat=True, file=sink)
for i in range(50):
    fast = compiled(f)
    fast(1), fast(1)
faulthandler.cancel_dump_traceback_later()
""")


@pytest.mark.parametrize("name", SCRIPTS)
def test_crash_threads(name):
    run(name, SCRIPTS[name])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="one lock for all before 3.12")
def test_sub_interpreter():
    run(
        "sub_interpreter",
        """
import _xxsubinterpreters as interpreters
id = interpreters.create()
try:
    interpreters.run_string(id, "from magpy import _engine")
except Exception as error:
    assert "ModuleNotFoundError" in str(error) or "ImportError" in str(error), error
interpreters.destroy(id)
assert compiled(lambda x: [x])(1) == [1]
""",
    )
