//! What only the inside can provoke: disks that refuse, requests that are at fault themselves.
