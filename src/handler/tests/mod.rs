//! Tests of the spine in virtual time.
