//! carnot-net
