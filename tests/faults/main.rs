//! The fault suite: the real program against the scripted mail server, with faults in and between
//! them.
//!
//! One [`oracle`] checks every test: the server's ledger against the acknowledged events and the
//! store's own conservation check. Each test ends with one line of figures, which `tests/run.sh`
//! shows. `tests/soak.sh` runs the same code for longer.
//!
//! `JOBBELL_TEST_SEED=N` repeats a round (each prints its seed). `JOBBELL_TEST_ROUNDS=N` sets the
//! number of `kill -9` rounds, `JOBBELL_TEST_CHAOS=N` of chaos rounds, `JOBBELL_TEST_REFUSALS=N` of
//! refusals in a burst.

#[cfg(test)]
mod chaos;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod conserved;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod load;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod phases;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod small_disk;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod storms;
#[cfg(test)]
#[expect(dead_code, reason = "shared with tests/it")]
#[path = "../support/mod.rs"]
mod support;
