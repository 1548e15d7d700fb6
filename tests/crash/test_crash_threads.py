"""Threads, signals, fork and exit around recordings and hits."""

import subprocess
import sys

import pytest
from crash_runner import engine_folder, run, scripts

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
def storm(fast, box, round):  # (the one alarm may come at any instruction from here on)
    global armed, right
    armed = True
    signal.setitimer(signal.ITIMER_REAL, 1e-5 * (1 + round % 40))
    for i in range(4):
        assert fast(round, box) == [round + 10]
        assert box == {"last": round + 10}
    right += 1
    armed = False
stops = right = 0
for round in range(300):
    fast, box = compiled(f), {}
    try:  # (around a call: 3.13 leaves jumps of a block out of its handlers)
        storm(fast, box, round)
    except Stop:
        stops += 1
    armed = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert box in ({}, {"last": round + 10})
    for i in range(3):
        assert fast(round, box) == [round + 10]
assert stops > 0 and right >= 0, (stops, right)

=== interrupt_main
import _thread, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
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

=== reset_and_drop_from_another_thread
import gc, threading
sys.setswitchinterval(1e-6)
class Net:
    def __init__(self):
        self.n, self.seen = 1, []
    def forward(self, x):
        seen = self.seen = [x, self.n]
        return {"out": [x + self.n, seen], "keys": sorted(vars(self))}
nets = [Net() for _ in range(4)]
fasts = [compiled(net.forward) for net in nets]
stop, errors = threading.Event(), []
def disturb(k):
    while not stop.is_set():
        fasts[k].reset()
        fasts[k].entries(), fasts[k].stats()
        fasts[k] = compiled(nets[k].forward)  # the last reference to one that may run
        if k == 0:
            gc.collect()
def call(i):
    for x in range(100):
        got = fasts[i % 4](x % 3)
        if got != {"out": [x % 3 + 1, [x % 3, 1]], "keys": ["n", "seen"]}:
            errors.append(got)
threads = [threading.Thread(target=call, args=(i,)) for i in range(28)]
others = [threading.Thread(target=disturb, args=(i,)) for i in range(4)]
[t.start() for t in threads + others]
[t.join() for t in threads]
stop.set()
[t.join() for t in others]
assert not errors, errors[0]

=== exception_thrown_into_a_thread
import ctypes, threading, time
class Stop(Exception):
    pass
throw = ctypes.pythonapi.PyThreadState_SetAsyncExc
armed, stopped, wrong = False, [], []
def helper(x):
    return {"v": [x, x + 1]}
def f(x, box):
    for i in range(40):
        x = helper(x)["v"][1]
    box["last"] = x
    return [x]
def once(n):
    global armed
    fast, box = compiled(f), {}
    try:
        armed = True
        for i in range(3):
            if fast(n, box) != [n + 40] or box != {"last": n + 40}:
                wrong.append(box)
        armed = False
    except Stop:
        armed = False
        stopped.append(n)
    if box not in ({}, {"last": n + 40}) or fast(n, box) != [n + 40]:
        wrong.append(box)
def work():
    n = 0
    while len(stopped) < 50:
        try:
            once(n)
        except Stop:
            stopped.append(n)
        n += 1
thread = threading.Thread(target=work)
thread.start()
while thread.is_alive():
    if armed:
        throw(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
    time.sleep(0.0003)
assert not wrong and len(stopped) >= 50, (wrong, len(stopped))

=== tracers_set_by_the_program_while_it_is_watched
events = []
def tracer(frame, event, arg):
    events.append(event)
    return tracer
def on(how):
    getattr(sys, how)(tracer)
def off(how):
    getattr(sys, how)(None)
def steps(n):
    for i in range(n):
        yield i
def f(how, when, x):
    out = []
    for i in steps(4):
        if i == when:
            on(how)
        out.append([x + i])
    off(how)
    return out
for how in ("settrace", "setprofile"):
    for when in range(5):
        fast = compiled(f)
        for i in range(3):
            events.clear()
            want, told = f(how, when, i), list(events)
            events.clear()
            assert fast(how, when, i) == want
            assert sys.gettrace() is None and sys.getprofile() is None
            assert bool(events) == bool(told), (how, when, events, told)

=== audit_hook_runs_python
seen, on = [], False
def hook(event, args):
    if on:
        seen.append(event)
        inner(len(seen) % 2)
inner = compiled(lambda x: [x])
sys.addaudithook(hook)
class A:
    pass
class B:
    pass
def f(a, x):
    a.__dict__["x"] = [x]
    a.__class__ = B
    return [id(a) > 0, a.x, sys._getframe().f_lineno > 0, type(a)]
fast = compiled(f)
for i in range(4):
    on = True
    got = fast(A(), i)
    on = False
    assert got == [True, [i], True, B] and seen, got

=== what_the_collector_sees_is_looked_at
import gc
def f(box, x):
    found = [type(o) for o in gc.get_objects() if isinstance(o, (list, dict, tuple))]
    box["n"] = len(found) > 0
    gc.get_referrers(box), gc.get_referents(box)
    return [x]
fast = compiled(f)
for i in range(3):
    assert fast({}, i) == [i]
def g(box, x):
    box["x"] = {"k": (x, [x])}
    return box["x"]
fast, box = compiled(g), {}
for i in range(3):
    fast(box, 1)
    for o in gc.get_objects():
        gc.get_referents(o)
assert fast(box, 1) == {"k": (1, [1])}

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


# From 3.13 on the module answers with what the code has raised.
INTERPRETERS = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
def run_in(id, text):
    try:
        raised = interpreters.run_string(id, text)
    except Exception as error:
        return str(error)
    return "" if raised is None else raised.formatted
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="one lock for all before 3.12")
def test_sub_interpreter():
    run(
        "sub_interpreter",
        INTERPRETERS
        + """
id = interpreters.create()
error = run_in(id, "from magpy import _engine")
assert "ModuleNotFoundError" in error or "ImportError" in error, error
interpreters.destroy(id)
assert compiled(lambda x: [x])(1) == [1]
""",
    )


OTHER = r"""
import sys, types
package = types.ModuleType("magpy")
package.__path__ = [FOLDER]
sys.modules["magpy"] = package
try:
    from magpy._engine import CompiledFunction
except ImportError:
    pass
else:
    fast = CompiledFunction(lambda x: [x])
    assert [fast(i % 2) for i in range(5)] == [[i % 2] for i in range(5)]
    assert fast.stats()["hits"] == 0
"""

SHARED = """
fast = compiled(lambda x: [x])
fast(1), fast(1)
id = interpreters.create()
assert run_in(id, OTHER.replace("FOLDER", repr(sys.argv[1]))) == ""
interpreters.destroy(id)
assert [fast(1) for _ in range(3)] == [[1]] * 3 and fast.stats()["hits"] == 4
"""


def test_sub_interpreter_stays_eager():
    run("sub_interpreter_stays_eager", INTERPRETERS + f"OTHER = {OTHER!r}\n{SHARED}")


PROCESSES = """
import multiprocessing, sys, types
package = types.ModuleType("magpy")
package.__path__ = [sys.argv[1]]
sys.modules["magpy"] = package
from magpy._engine import CompiledFunction

def f(x, n):
    for i in range(n):
        x = x + i
    return [x, {"n": n}]

fast = CompiledFunction(f)

def work(n):
    out = [fast(1, n % 3) for _ in range(3)]
    return out[0] == out[1] == out[2] == f(1, n % 3), fast.stats()["hits"]

if __name__ == "__main__":
    work(1)
    for how in ("fork", "spawn"):
        with multiprocessing.get_context(how).Pool(2) as pool:
            done = pool.map(work, range(12))
        assert all(right and hits for right, hits in done), (how, done)
    assert work(2)[0]
    print("ok")
"""


def test_processes(tmp_path):
    path = tmp_path / "processes.py"
    path.write_text(PROCESSES)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(path), engine_folder()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stdout == "ok\n", done.stdout + done.stderr
