"""Other people's tests under the engine, compared with the same tests in eager mode.

cpython    CPython's own tests: each case must end as it ends in plain CPython
dynamo     TorchDynamo's tests of a checkout of torch, in three processes a module
worlds     one of those processes: runs the tests and writes down what they see
describe   values and exceptions as texts that two processes can compare
"""
