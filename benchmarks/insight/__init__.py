"""How good the insight is: public benchmarks, scored by their own rules.

The rules are implemented here and checked against rows that the benchmarks' authors published.
"""
