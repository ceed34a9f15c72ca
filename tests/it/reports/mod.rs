//! Problems that users reported elsewhere, reproduced here: one file per topic, each report with
//! its source.

mod addresses;
mod encoding;
mod encodings;
mod environment;
mod newcomer;
mod numbers;
mod plain;
mod secrets;
mod zones;
