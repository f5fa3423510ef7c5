//! carnot-math
