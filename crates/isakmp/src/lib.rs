//! isakmp
