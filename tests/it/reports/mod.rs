//! What people ran into elsewhere, tried here: one file for each kind, the source of each report
//! beside it.

mod addresses;
mod encoding;
mod encodings;
mod environment;
mod newcomer;
mod numbers;
mod plain;
mod secrets;
mod zones;
