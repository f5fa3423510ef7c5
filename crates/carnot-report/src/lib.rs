//! carnot-report
