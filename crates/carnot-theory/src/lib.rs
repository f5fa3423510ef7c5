//! carnot-theory
