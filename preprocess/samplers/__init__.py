"""The test samplers of the libraries whose figures cards cite, each pure arithmetic on (frames, rate).

Positions count from 0. The order of the operations in double or float32 is the libraries' own: exact arithmetic gives
another frame for a tenth of the lengths.
"""
