//! carnot-sim
