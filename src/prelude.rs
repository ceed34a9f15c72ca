//! Everything that an embedding program needs: `use jobbell::prelude::*;`.

pub use crate::config::Config;
pub use crate::domain::{Event, JobEvent, JobStatus, State};
pub use crate::{Accepted, Jobbell, Refusal, StartError};
