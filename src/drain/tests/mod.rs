//! Tests of the drain in virtual time.
