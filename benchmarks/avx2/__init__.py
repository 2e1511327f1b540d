"""The same processor without AVX-512: what an ordinary one, nearer to a phone's, would measure."""

from benchmarks.avx2.hide import HIDDEN, environment_without_avx512

__all__ = ["HIDDEN", "environment_without_avx512"]
