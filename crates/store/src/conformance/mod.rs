//! Tests that every adapter of a contract must pass. Each function takes a way to make an empty store and
//! panics, as a test does, when an answer is not the contract's.

pub mod frontier;
pub mod pages;
pub mod vectors;
