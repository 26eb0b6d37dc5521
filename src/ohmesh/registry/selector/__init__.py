"""The selector language: one way to say which tasks, workers or agents are meant, in every door.

    class=gpu and sector in (3,7) and impedance>400ms and not state=quarantined

Grammar (keywords in any case, blanks anywhere between tokens):

    selector    = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | "(" selector ")" | test
    test        = field                                    it has a value that is not empty, zero or nothing
                | field operator value                     operator: = != < <= > >= (== is read as =)
                | field [ "not" ] "in" "(" value { "," value } ")"
    value       = word | quoted
    word        = characters without blanks, quotes, parentheses, commas and = < > ! & | backslash
    quoted      = '...' or "...", where a backslash makes the next character plain

What a word means depends on the type of its field (schema.py): text, in which `*` stands for any characters and `?`
for one, unless it is quoted; a choice; a number; a share, 0.8 or 80%; a duration with its unit, 400ms, 1.5s, 2min, 1h,
7d; a time, 2026-01-31 or 2026-01-31T10:00 (UTC unless it says otherwise). Keywords are quoted to be values.

Invariants:
- A selector is checked against a schema while it is read: an unknown field, a value that the field cannot have or an
  operator without meaning for it is an InvalidSelector that shows the place, so a mistyped word never selects nothing.
- Logic has two values. A field without a value (None) compares false with everything, therefore `!=` and `not` hold.
  A field of many values (the kinds of a worker) passes a test if one of them does; `!=` and `not in` mean none.
- Text, depth and lists are bounded (SelectorLimits); evaluation is linear in the selector and in the text.
- `str(selector)` is canonical: read again it gives the same tree.

The tree (tree.py) holds fields, operators and values in the base unit of their field and nothing else, so that
another evaluator, over columns, can walk it as evaluation.py walks it over one row.
"""

from ohmesh.registry.selector.compiled import Selector, compile_selector
from ohmesh.registry.selector.schema import Field, FieldType, Schema

__all__ = ["Field", "FieldType", "Schema", "Selector", "compile_selector"]
