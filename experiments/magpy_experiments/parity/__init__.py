"""ParityBench as the MagPy paper runs it, for several compilers by the same rules.

A checkout of ParityBench is a folder of Python files, each of which stands for one
project and lists modules with example inputs.  Parts, in the order in which they work:

schedule   one server per job, files from a queue, results appended to a file
server     imported torch and the compiler once; forks a child for every file
child      runs the cases of a file one by one and tells the server
case       one module in eager mode and compiled, compared
stubs      packages that a project imports and that are not installed
compilers  what is measured, and what each one says about its graphs
results    what is kept of a case, a project and a run
summary    what runs add up to; report prints it, plot draws it
"""
