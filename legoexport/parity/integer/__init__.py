"""An int8 file against an implementation of its arithmetic that shares nothing with its making."""
