"""The teacher store: sub-scores of every trajectory of a vocabulary in every scene, bit-packed and memory-mapped."""
