"""The figures and tables of the paper, measured on the systems that are installed.

Parts, in the order in which they work:

plan      which cells a figure consists of
systems   front ends and backends, by one interface; what is missing says the command
onnx      the backend ONNX Runtime
child     one measurement, in a process of its own
protocol  what is measured there: the same steps for every system
runner    processes, one after the other, with a limit of time; what is there is kept
results   what is kept of a cell, and of the machine
figures   from cells to tables
plots     from tables to pictures
check     do tables, pictures and pages agree with the data?
"""
