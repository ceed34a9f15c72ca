//! What an embedding program needs: `use jobbell::prelude::*;`.

pub use crate::config::Config;
pub use crate::daemon::{Jobbell, StartError};
pub use crate::domain::{Event, JobEvent, JobStatus, State};
