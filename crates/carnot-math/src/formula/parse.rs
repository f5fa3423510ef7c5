//! Text to expression: a lexer from `winnow` parts, then one function per level of precedence.
//!
//! Linear time, no backtracking between levels, and a limit on nesting, so that no text can exhaust time or stack.

use std::ops::Range;

use winnow::ascii::{digit0, digit1, multispace0};
use winnow::combinator::{alt, opt, preceded};
use winnow::stream::{LocatingSlice, Location};
use winnow::token::{any, take_while};
use winnow::{ModalResult, Parser};

use super::error::{FormulaError, FormulaErrorKind as Kind, nearest};
use super::expression::{BUILTINS, Builtin, Expression, Id, Node, Relation, builtin};

/// Longest text that is read, in bytes.
pub(super) const LONGEST: usize = 4096;
/// Deepest nesting of parentheses, calls, signs and powers.
pub(super) const DEEPEST: usize = 64;

const OPERAND: &str = "a number, `z`, a function or `(`";
const OPERATOR: &str = "an operator or the end";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'t> {
    Number(f64),
    Name(&'t str),
    Symbol(&'static str),
}

type Input<'t> = LocatingSlice<&'t str>;

fn number<'t>(input: &mut Input<'t>) -> ModalResult<Token<'t>> {
    let mantissa = alt(((digit1, opt(('.', digit0))).take(), ('.', digit1).take()));
    let exponent = opt((alt(('e', 'E')), opt(alt(('+', '-'))), digit1));
    // Digits with one dot and one exponent always parse; what is too large becomes infinite and is refused later.
    (mantissa, exponent)
        .take()
        .map(|text: &str| Token::Number(text.parse().unwrap_or(f64::NAN)))
        .parse_next(input)
}

fn name<'t>(input: &mut Input<'t>) -> ModalResult<Token<'t>> {
    let first = take_while(1, |c: char| c.is_alphabetic() || c == '_');
    let rest = take_while(0.., |c: char| c.is_alphanumeric() || c == '_');
    (first, rest).take().map(Token::Name).parse_next(input)
}

fn symbol<'t>(input: &mut Input<'t>) -> ModalResult<Token<'t>> {
    let two = alt(("**".value("^"), "<=".value("<="), ">=".value(">=")));
    let sign =
        alt(("+".value("+"), "-".value("-"), "−".value("-"), "*".value("*"), "·".value("*"), "/".value("/")));
    let other =
        alt(("^".value("^"), "(".value("("), ")".value(")"), ",".value(","), "<".value("<"), ">".value(">")));
    alt((two, sign, other)).map(Token::Symbol).parse_next(input)
}

/// All tokens with their bytes.
fn tokens(text: &str) -> Result<Vec<(Token<'_>, Range<usize>)>, FormulaError> {
    let mut input = LocatingSlice::new(text);
    let mut found = Vec::new();
    loop {
        // Blanks always match, so this cannot fail.
        let _ = multispace0::<_, winnow::error::ErrMode<winnow::error::ContextError>>.parse_next(&mut input);
        let start = input.current_token_start();
        if input.is_empty() {
            return Ok(found);
        }
        match preceded(multispace0, alt((number, name, symbol))).with_span().parse_next(&mut input) {
            Ok(token) => found.push(token),
            Err(_) => {
                let bad: ModalResult<char> = any.parse_next(&mut input);
                let bad = bad.unwrap_or('?');
                let kind = Kind::UnexpectedCharacter { found: bad, expected: OPERAND };
                return Err(FormulaError { text: text.to_owned(), at: start..start + bad.len_utf8(), kind });
            }
        }
    }
}

/// Reads a formula in one variable with named constants.
pub(super) fn parse(text: &str, parameters: &[(&str, f64)]) -> Result<Expression, FormulaError> {
    let refuse = |at: Range<usize>, kind| FormulaError { text: text.to_owned(), at, kind };
    if text.len() > LONGEST {
        return Err(refuse(LONGEST..text.len(), Kind::TooLong { bytes: text.len(), limit: LONGEST }));
    }
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err(refuse(0..text.len(), Kind::Empty));
    }
    let expression = Expression { nodes: Vec::new(), places: Vec::new() };
    let mut reader = Reader { text, parameters, tokens, next: 0, depth: 0, expression };
    reader.sum()?;
    match reader.peek() {
        None => Ok(reader.expression),
        Some(_) => Err(reader.unexpected(OPERATOR)),
    }
}

struct Reader<'t> {
    text: &'t str,
    parameters: &'t [(&'t str, f64)],
    tokens: Vec<(Token<'t>, Range<usize>)>,
    next: usize,
    depth: usize,
    expression: Expression,
}

type Parsed = Result<Id, FormulaError>;

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.next).map(|(token, _)| *token)
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Symbol(found)) if found == symbol)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let there = self.is(symbol);
        self.next += usize::from(there);
        there
    }

    fn place(&self) -> Range<usize> {
        self.tokens.get(self.next).map_or(self.text.len()..self.text.len(), |(_, at)| at.clone())
    }

    fn refuse(&self, at: Range<usize>, kind: Kind) -> FormulaError {
        FormulaError { text: self.text.to_owned(), at, kind }
    }

    fn unexpected(&self, expected: &'static str) -> FormulaError {
        let at = self.place();
        match self.text[at.start..].chars().next() {
            Some(found) => self.refuse(at, Kind::UnexpectedCharacter { found, expected }),
            None => self.refuse(at, Kind::UnexpectedEnd { expected }),
        }
    }

    fn push(&mut self, node: Node, start: usize) -> Id {
        let end = self.tokens[..self.next].last().map_or(start, |(_, at)| at.end);
        self.expression.nodes.push(node);
        self.expression.places.push(start..end);
        self.expression.root()
    }

    /// Runs one level deeper, or refuses.
    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth == DEEPEST {
            return Err(self.refuse(self.place(), Kind::TooDeep { limit: DEEPEST }));
        }
        self.depth += 1;
        let id = read(self);
        self.depth -= 1;
        id
    }

    /// sum := product (('+' | '-') product)*
    fn sum(&mut self) -> Parsed {
        let start = self.place().start;
        let mut left = self.product()?;
        loop {
            if self.take("+") {
                let right = self.product()?;
                left = self.push(Node::Add(left, right), start);
            } else if self.take("-") {
                let right = self.product()?;
                left = self.push(Node::Subtract(left, right), start);
            } else {
                return Ok(left);
            }
        }
    }

    /// product := signed (('*' | '/') signed)*
    fn product(&mut self) -> Parsed {
        let start = self.place().start;
        let mut left = self.signed()?;
        loop {
            if self.take("*") {
                let right = self.signed()?;
                left = self.push(Node::Multiply(left, right), start);
            } else if self.take("/") {
                let right = self.signed()?;
                left = self.push(Node::Divide(left, right), start);
            } else {
                return Ok(left);
            }
        }
    }

    /// signed := ('-' | '+') signed | power; so -z^2 is -(z^2).
    fn signed(&mut self) -> Parsed {
        let start = self.place().start;
        if self.take("-") {
            let inner = self.deeper(Self::signed)?;
            return Ok(self.push(Node::Negate(inner), start));
        }
        if self.take("+") {
            return self.deeper(Self::signed);
        }
        self.power()
    }

    /// power := atom ('^' signed)?; so a^b^c is a^(b^c) and 2^-z is allowed.
    fn power(&mut self) -> Parsed {
        let start = self.place().start;
        let base = self.atom()?;
        if !self.take("^") {
            return Ok(base);
        }
        let exponent = self.deeper(Self::signed)?;
        Ok(self.push(Node::Power(base, exponent), start))
    }

    /// atom := number | name | name '(' arguments ')' | '(' sum ')'
    fn atom(&mut self) -> Parsed {
        let at = self.place();
        match self.peek() {
            Some(Token::Number(value)) if value.is_finite() => {
                self.next += 1;
                Ok(self.push(Node::Number(value), at.start))
            }
            Some(Token::Number(_)) => Err(self.refuse(at, Kind::NumberOutOfRange)),
            Some(Token::Name(name)) => {
                self.next += 1;
                if self.take("(") { self.call(name, at) } else { self.named(name, at) }
            }
            Some(Token::Symbol("(")) => {
                self.next += 1;
                let inner = self.deeper(Self::sum)?;
                self.close("`)`")?;
                Ok(inner)
            }
            _ => Err(self.unexpected(OPERAND)),
        }
    }

    fn close(&mut self, expected: &'static str) -> Result<(), FormulaError> {
        if self.take(")") { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn named(&mut self, name: &str, at: Range<usize>) -> Parsed {
        let parameter = self.parameters.iter().find(|(known, _)| *known == name);
        let node = match (parameter, name) {
            (Some((_, value)), _) if value.is_finite() => Node::Parameter(*value),
            (Some(_), _) => return Err(self.refuse(at, Kind::NumberOutOfRange)),
            (None, "z" | "x") => Node::Variable,
            (None, "pi" | "π") => Node::Pi,
            (None, "e") => Node::Euler,
            // A function without its parenthesis.
            (None, _) if builtin(name).is_some() => return Err(self.unexpected("`(`")),
            (None, _) => return Err(self.unknown(name, at)),
        };
        Ok(self.push(node, at.start))
    }

    fn unknown(&self, name: &str, at: Range<usize>) -> FormulaError {
        let functions = BUILTINS.iter().flat_map(|(names, _)| names.iter().copied());
        let parameters = self.parameters.iter().map(|(name, _)| *name);
        let nearest = nearest(name, functions.chain(parameters).chain(["pi"]));
        self.refuse(at, Kind::UnknownName { name: name.to_owned(), nearest })
    }

    /// The arguments and the closing parenthesis of a call.
    fn call(&mut self, name: &str, at: Range<usize>) -> Parsed {
        let Some(builtin) = builtin(name) else {
            return Err(self.unknown(name, at));
        };
        let mut condition = None;
        if builtin == Builtin::Choose && !self.is(")") {
            condition = Some(self.condition()?);
        }
        let mut arguments = Vec::new();
        let mut given = usize::from(condition.is_some());
        if condition.is_none() && !self.is(")") {
            arguments.push(self.deeper(Self::sum)?);
            given = 1;
        }
        while self.take(",") {
            arguments.push(self.deeper(Self::sum)?);
            given += 1;
        }
        self.close("`,` or `)`")?;
        if given != builtin.arguments() {
            let whole = at.start..self.tokens[self.next - 1].1.end;
            let function = name.to_owned();
            let kind = Kind::WrongArgumentCount { function, expected: builtin.arguments(), found: given };
            return Err(self.refuse(whole, kind));
        }
        Ok(self.push(application(builtin, condition, &arguments), at.start))
    }

    fn condition(&mut self) -> Result<(Relation, Id, Id), FormulaError> {
        let left = self.deeper(Self::sum)?;
        let relation = match self.peek() {
            Some(Token::Symbol("<")) => Relation::Less,
            Some(Token::Symbol("<=")) => Relation::LessOrEqual,
            Some(Token::Symbol(">")) => Relation::Greater,
            Some(Token::Symbol(">=")) => Relation::GreaterOrEqual,
            _ => return Err(self.unexpected("`<`, `<=`, `>` or `>=`")),
        };
        self.next += 1;
        let right = self.deeper(Self::sum)?;
        Ok((relation, left, right))
    }
}

/// The node of a call whose arguments were counted.
fn application(builtin: Builtin, condition: Option<(Relation, Id, Id)>, a: &[Id]) -> Node {
    match (builtin, condition) {
        (_, Some((relation, left, right))) => {
            Node::Choose { relation, left, right, then: a[0], otherwise: a[1] }
        }
        (Builtin::Call(function), _) => Node::Call(function, a[0]),
        (Builtin::Relu, _) => Node::Relu(a[0]),
        (Builtin::Gelu, _) => Node::Gelu(a[0]),
        (Builtin::Silu, _) => Node::Silu(a[0]),
        (Builtin::Power, _) => Node::Power(a[0], a[1]),
        (Builtin::Max, _) => Node::Max(a[0], a[1]),
        (Builtin::Min, _) => Node::Min(a[0], a[1]),
        (Builtin::Clip, _) => Node::Clip(a[0], a[1], a[2]),
        (Builtin::Choose, None) => unreachable!("a counted `if` has its condition"),
    }
}
