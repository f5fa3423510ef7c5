//! carnot-lab
