//! A head that is the embedding: at the start each token predicts itself.

use carnot_net::error::Unknown;

use super::pieces::{Group, Piece};
use super::response::{Node, nodes};
use super::walk::Memory;

/// Logits of a transformer whose head is its embedding, at the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Own {
    /// Mean logit of a position's own token, ≥ 0, over that of the others.
    pub logit: f64,
    /// Variance of the logits of the others, > 0.
    pub variance: f64,
}

impl Own {
    /// Logits over the table the stream began with.
    ///
    /// A skip path carries the vector $e_v$ of a position's own token to the head, times $A = \prod \alpha / \prod \sqrt{q}$ over the skips and the norms, which
    /// divide by the root of the mean square q. Branches add nothing along it: their matrices are independent of it. With a head of variance C/n per entry
    /// and a table of variance $C_E$, $z = s\,E x$ and $s = \sqrt{C/(n C_E)}$,
    ///
    /// $$ E[z_v] = s\,A\,n\,C_E = A\sqrt{C\,n\,C_E}, \qquad \operatorname{Var}[z_u] = C\,q_L $$
    ///
    /// * `pieces`: of a network, embedding and head among them
    /// * returns: `None` without an embedding or a head of the last stream itself
    ///
    /// # Errors
    /// [`Unknown`] as [`super::walk::walk`].
    ///
    /// Source: Carnot's own, checked against networks in `carnot-lab/tests/tied.rs`.
    pub fn of(pieces: &[Piece], memory: &mut Memory) -> Result<Option<Own>, Unknown> {
        let (nodes, _) = nodes(pieces, None, memory)?;
        let (mut carried, mut table) = (1.0, None);
        for node in &nodes {
            match node {
                Node::Table(matrix, _) if matrix.group == Group::Word => table = Some(matrix.c),
                Node::Norm(size) => carried /= size.sqrt(),
                Node::Skip { skip, .. } => carried *= skip,
                Node::Linear(head, entering) if head.group == Group::Head => {
                    let of = |table: f64| Own {
                        logit: carried * (head.c * head.fan_in as f64 * table).sqrt(),
                        variance: head.c * entering.size,
                    };
                    return Ok(table.map(of));
                }
                Node::Table(..) | Node::Same => {}
                Node::Linear(..) | Node::Bend(..) | Node::Attend(..) => carried = 0.0,
            }
        }
        Ok(None)
    }

    /// Cross-entropy before the first step, in nats, of answers that are the token itself with the chance `matches` and any other one otherwise; ln V without
    /// a tied head and with small logits. V ≥ 2 tokens; the mean over networks is taken inside the logarithm:
    ///
    /// $$ \ln\big[(V-1)e^{v/2} + e^{a}\big] - m\,a $$
    #[must_use]
    pub fn loss(&self, vocabulary: usize, matches: f64) -> f64 {
        let others = (vocabulary.saturating_sub(1).max(1) as f64).ln() + self.variance / 2.0;
        let top = self.logit.max(others);
        let sum = (self.logit - top).exp() + (others - top).exp();
        top + sum.ln() - matches * self.logit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_own_logit_the_loss_is_that_of_knowing_nothing() {
        let own = Own { logit: 0.0, variance: 0.0 };
        assert!((own.loss(64, 0.1) - 64f64.ln()).abs() < 1e-12);
        // A sure answer that is never right costs its logit; one that always is costs nothing.
        let sure = Own { logit: 40.0, variance: 0.0 };
        assert!((sure.loss(64, 0.0) - 40.0).abs() < 1e-9 && sure.loss(64, 1.0).abs() < 1e-9);
    }
}
