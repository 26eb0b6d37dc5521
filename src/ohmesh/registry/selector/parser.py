"""From text to a checked tree by recursive descent: one method for each rule of the grammar (see the package)."""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.errors import InvalidSelector
from ohmesh.registry.selector.literals import closest, expected_value, read_value
from ohmesh.registry.selector.schema import Field, Schema
from ohmesh.registry.selector.tokens import Lexeme, Token, fault, tokens_of
from ohmesh.registry.selector.tree import (
    And,
    Comparison,
    Glob,
    Node,
    Not,
    OneOf,
    Operator,
    Or,
    Present,
    Value,
)

_EQUALITY = (Operator.EQUAL, Operator.UNEQUAL)


@dataclass(frozen=True, slots=True)
class SelectorLimits:
    """characters of the text, depth of parentheses and `not`, values of one list. Selectors come from outside."""

    characters: int = 4_000
    depth: int = 32
    values: int = 200


def parse(text: str, schema: Schema, limits: SelectorLimits) -> Node:
    """The tree; InvalidSelector says where and why there is none."""
    if len(text) > limits.characters:
        raise InvalidSelector(
            f"The selector has {len(text)} characters, at most {limits.characters} are read.",
            hint="Ask in several parts.",
        )
    return _Parser(text, schema, limits).selector()


class _Parser:
    def __init__(self, text: str, schema: Schema, limits: SelectorLimits) -> None:
        self._text = text
        self._schema = schema
        self._limits = limits
        self._tokens = tokens_of(text)
        self._at = 0
        self._depth = 0

    def selector(self) -> Node:
        tree = self._disjunction()
        if self._token.lexeme is not Lexeme.END:
            raise self._unexpected("`and`, `or` or the end")
        return tree

    def _disjunction(self) -> Node:
        operands = [self._conjunction()]
        while self._takes_keyword("or"):
            operands.append(self._conjunction())
        if len(operands) == 1:
            return operands[0]
        return Or(
            tuple(part for one in operands for part in (one.operands if isinstance(one, Or) else [one]))
        )

    def _conjunction(self) -> Node:
        operands = [self._negation()]
        while self._takes_keyword("and"):
            operands.append(self._negation())
        if len(operands) == 1:
            return operands[0]
        return And(
            tuple(part for one in operands for part in (one.operands if isinstance(one, And) else [one]))
        )

    def _negation(self) -> Node:
        token = self._token
        if self._takes_keyword("not"):
            self._descend(token)
            tree: Node = Not(self._negation())
        elif self._takes_mark("("):
            self._descend(token)
            tree = self._disjunction()
            if not self._takes_mark(")"):
                raise self._unexpected("`and`, `or` or )")
        else:
            return self._test()
        self._depth -= 1
        return tree

    def _test(self) -> Node:
        field = self._field()
        token = self._token
        if token.lexeme is Lexeme.OPERATOR:
            self._at += 1
            operator = Operator(token.text)
            if operator not in _EQUALITY and not field.can_be_compared:
                raise fault(
                    self._text,
                    token.position,
                    f"{field.name} is a {field.type} without an order; {token.text} has no meaning for it.",
                    hint="Use =, != or in.",
                )
            return Comparison(field.name, operator, self._value(field, operator))
        if self._takes_keyword("in"):
            return OneOf(field.name, self._values(field))
        if token.text == "not" and token.lexeme is Lexeme.KEYWORD:
            self._at += 1
            if not self._takes_keyword("in"):
                raise self._unexpected(f"`in` (as in `{field.name} not in (...)`)")
            return Not(OneOf(field.name, self._values(field)))
        return Present(field.name)

    def _field(self) -> Field:
        token = self._token
        if token.lexeme is not Lexeme.WORD:
            raise self._unexpected("the name of a field, `not` or (")
        field = self._schema.find(token.text)
        if field is None:
            names = self._schema.names
            hint = f"{closest(token.text, names)} The fields of {self._schema.noun}: {', '.join(names)}."
            raise fault(self._text, token.position, f"There is no field {token.shown()}.", hint=hint.strip())
        self._at += 1
        return field

    def _values(self, field: Field) -> tuple[Value, ...]:
        """Each once, in the order given."""
        opening = self._token
        if not self._takes_mark("("):
            raise self._unexpected("( and a list of values")
        values = [self._value(field)]
        while self._takes_mark(","):
            values.append(self._value(field))
            if len(values) > self._limits.values:
                raise fault(
                    self._text, opening.position, f"A list holds at most {self._limits.values} values."
                )
        if not self._takes_mark(")"):
            raise self._unexpected("a comma or )")
        return tuple(dict.fromkeys(values))

    def _value(self, field: Field, operator: Operator = Operator.EQUAL) -> Value:
        token = self._token
        if token.lexeme not in (Lexeme.WORD, Lexeme.QUOTED):
            hint = "Keywords are quoted to be values." if token.lexeme is Lexeme.KEYWORD else ""
            raise self._unexpected(expected_value(field), hint=hint)
        self._at += 1
        value = read_value(self._text, token, field)
        if isinstance(value, Glob) and operator not in _EQUALITY:
            raise fault(self._text, token.position, f"A pattern cannot stand behind {operator}.")
        return value

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _takes_keyword(self, word: str) -> bool:
        return self._takes(Lexeme.KEYWORD, word)

    def _takes_mark(self, mark: str) -> bool:
        return self._takes(Lexeme.MARK, mark)

    def _takes(self, lexeme: Lexeme, text: str) -> bool:
        token = self._token
        if token.lexeme is not lexeme or token.text != text:
            return False
        self._at += 1
        return True

    def _descend(self, token: Token) -> None:
        self._depth += 1
        if self._depth > self._limits.depth:
            raise fault(
                self._text,
                token.position,
                f"This is more than {self._limits.depth} levels of ( and not deep.",
            )

    def _unexpected(self, expected: str, *, hint: str = "") -> InvalidSelector:
        token = self._token
        return fault(self._text, token.position, f"Expected {expected}, found {token.shown()}.", hint=hint)
