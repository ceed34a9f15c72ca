//! What people ran into elsewhere, tried here: one file for each kind, the source of each report beside it.

mod encodings;
mod environment;
mod newcomer;
mod secrets;
mod zones;
