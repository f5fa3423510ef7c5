//! carnot
fn main() {}
