//! A formula as LaTeX (KaTeX), as it was written.

use super::Formula;
use super::expression::{Function, Node, Relation};

/// How tightly a piece holds together: a looser piece inside a tighter place gets parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    Sum,
    Product,
    Power,
    Atom,
}

struct Piece {
    text: String,
    hold: Hold,
}

impl Piece {
    fn inside(self, least: Hold) -> String {
        if self.hold < least { format!(r"\left({}\right)", self.text) } else { self.text }
    }
}

impl Formula {
    /// The right-hand side of σ(z) = … in LaTeX, parameters replaced by their values.
    pub fn latex(&self) -> String {
        let expression = &self.inner.expression;
        let mut pieces: Vec<Option<Piece>> = Vec::with_capacity(expression.nodes.len());
        for node in &expression.nodes {
            // Every node is used once, so its text moves into its parent's.
            let piece = {
                let mut take = |id: u32| pieces[id as usize].take().expect("a tree uses each node once");
                piece(*node, &mut take)
            };
            pieces.push(Some(piece));
        }
        pieces.pop().flatten().map_or_else(String::new, |piece| piece.text)
    }
}

fn piece(node: Node, take: &mut impl FnMut(u32) -> Piece) -> Piece {
    let (text, hold) = match node {
        Node::Number(value) | Node::Parameter(value) => number(value),
        Node::Pi => (r"\pi".to_owned(), Hold::Atom),
        Node::Euler => ("e".to_owned(), Hold::Atom),
        Node::Variable => ("z".to_owned(), Hold::Atom),
        Node::Negate(a) => (format!("-{}", take(a).inside(Hold::Product)), Hold::Sum),
        Node::Add(a, b) => (format!("{} + {}", take(a).text, following(take(b))), Hold::Sum),
        Node::Subtract(a, b) => (format!("{} - {}", take(a).text, take(b).inside(Hold::Product)), Hold::Sum),
        Node::Multiply(a, b) => (product(take(a), take(b)), Hold::Product),
        Node::Divide(a, b) => (format!(r"\frac{{{}}}{{{}}}", take(a).text, take(b).text), Hold::Product),
        Node::Power(a, b) => (format!("{}^{{{}}}", take(a).inside(Hold::Atom), take(b).text), Hold::Power),
        Node::Call(Function::Sqrt, a) => (format!(r"\sqrt{{{}}}", take(a).text), Hold::Atom),
        Node::Call(Function::Exp, a) => (format!("e^{{{}}}", take(a).text), Hold::Power),
        Node::Call(Function::Abs, a) => (format!(r"\left|{}\right|", take(a).text), Hold::Atom),
        Node::Call(Function::Expm1, a) => (format!("e^{{{}}} - 1", take(a).text), Hold::Sum),
        Node::Call(Function::Log1p, a) => {
            (format!(r"\ln\left(1 + {}\right)", following(take(a))), Hold::Power)
        }
        Node::Call(function, a) => call(name(function), &[take(a)]),
        Node::Relu(a) => (format!(r"\max\left({}, 0\right)", take(a).text), Hold::Power),
        Node::Gelu(a) => call(r"\operatorname{gelu}", &[take(a)]),
        Node::Silu(a) => call(r"\operatorname{silu}", &[take(a)]),
        Node::Max(a, b) => call(r"\max", &[take(a), take(b)]),
        Node::Min(a, b) => call(r"\min", &[take(a), take(b)]),
        Node::Clip(u, low, high) => call(r"\operatorname{clip}", &[take(u), take(low), take(high)]),
        Node::Choose { relation, left, right, then, otherwise } => {
            let condition = format!("{} {} {}", take(left).text, sign(relation), take(right).text);
            let (then, otherwise) = (take(then).text, take(otherwise).text);
            let rows = format!(r"{then} & \text{{if }} {condition} \\ {otherwise} & \text{{otherwise}}");
            (format!(r"\begin{{cases}} {rows} \end{{cases}}"), Hold::Sum)
        }
    };
    Piece { text, hold }
}

/// A term after a plus sign: only a leading minus needs parentheses.
fn following(piece: Piece) -> String {
    if piece.text.starts_with('-') { piece.inside(Hold::Product) } else { piece.text }
}

fn product(a: Piece, b: Piece) -> String {
    let (a, b) = (a.inside(Hold::Product), b.inside(Hold::Product));
    let digit = b.starts_with(|c: char| c.is_ascii_digit());
    format!("{a} {} {b}", if digit { r"\cdot" } else { r"\," })
}

fn call(name: &str, arguments: &[Piece]) -> (String, Hold) {
    let list: Vec<&str> = arguments.iter().map(|piece| piece.text.as_str()).collect();
    (format!(r"{name}\left({}\right)", list.join(", ")), Hold::Power)
}

fn number(value: f64) -> (String, Hold) {
    let hold = if value < 0.0 { Hold::Sum } else { Hold::Atom };
    if value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        return (value.to_string(), hold);
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("scientific notation has an exponent");
    (format!(r"{mantissa} \cdot 10^{{{exponent}}}"), hold.min(Hold::Product))
}

fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Less => "<",
        Relation::LessOrEqual => r"\le",
        Relation::Greater => ">",
        Relation::GreaterOrEqual => r"\ge",
    }
}

fn name(function: Function) -> &'static str {
    match function {
        Function::Exp => r"\exp",
        Function::Expm1 => r"\operatorname{expm1}",
        Function::Ln => r"\ln",
        Function::Log1p => r"\operatorname{log1p}",
        Function::Sqrt => r"\operatorname{sqrt}",
        Function::Sin => r"\sin",
        Function::Cos => r"\cos",
        Function::Tan => r"\tan",
        Function::Asin => r"\arcsin",
        Function::Acos => r"\arccos",
        Function::Atan => r"\arctan",
        Function::Sinh => r"\sinh",
        Function::Cosh => r"\cosh",
        Function::Tanh => r"\tanh",
        Function::Asinh => r"\operatorname{arsinh}",
        Function::Erf => r"\operatorname{erf}",
        Function::Erfc => r"\operatorname{erfc}",
        Function::NormalCdf => r"\Phi",
        Function::NormalPdf => r"\varphi",
        Function::Sigmoid => r"\operatorname{sigmoid}",
        Function::Softplus => r"\operatorname{softplus}",
        Function::Abs => r"\operatorname{abs}",
        Function::Sign => r"\operatorname{sign}",
        Function::Step => r"\operatorname{step}",
    }
}

#[cfg(test)]
mod tests {
    use crate::formula::Formula;

    #[test]
    fn latex_reads_as_written() {
        for (text, latex) in [
            ("max(z, 0)", r"\max\left(z, 0\right)"),
            ("z / (1 + exp(-z))", r"\frac{z}{1 + e^{-z}}"),
            ("z^2 * (z - 1)", r"z^{2} \, \left(z - 1\right)"),
            ("-z - (z - 1)", r"-z - \left(z - 1\right)"),
            ("2 * 3e-7", r"2 \cdot 3 \cdot 10^{-7}"),
            ("sin(z)^2", r"\left(\sin\left(z\right)\right)^{2}"),
            ("if(z < 0, -1, z)", r"\begin{cases} -1 & \text{if } z < 0 \\ z & \text{otherwise} \end{cases}"),
            ("z + -2", r"z + \left(-2\right)"),
        ] {
            assert_eq!(Formula::parse(text).unwrap().latex(), latex, "{text}");
        }
    }
}
