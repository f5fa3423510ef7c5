//! From defaults, a file and flags to one specification.
//!
//! Everything is made from the JSON schema of the specification and its default value: which keys there are, what they
//! mean, what they accept. So a new field of a specification is a flag, a TOML key and a line of `carnot new` at once.

/// The known word nearest to `word`, if any is near.
pub fn nearest(word: &str, known: &[&str]) -> Option<String> {
    carnot_net::network::nearest(word, known)
}
