"""Training in integers alone.

`plan` lays a network out and proves that no sum overflows. `step` is the algorithm on the operations of `ops`, and
`cpu` and `cuda` give the same bits faster. `run` repeats steps through the epochs of a `schedule`, on `examples`, and
keeps a `checkpoint`; `blind` makes steps without the inputs. `export` makes an `IntNetwork` of the result.
"""
