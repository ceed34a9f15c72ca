//! Limits connections by the process's limit of open files, so that idle clients leave descriptors
//! for SMTP and the store.

/// The process's limits on Linux.
const LIMITS: &str = "/proc/self/limits";

/// At most `most` connections, or three quarters of the open file limit. The rest is for mail
/// servers, the store and the log.
pub(super) fn connections(most: usize) -> usize {
    let files = std::fs::read_to_string(LIMITS)
        .ok()
        .as_deref()
        .and_then(soft_limit);
    files.map_or(most, |files| fitting(most, files))
}

fn fitting(most: usize, files: usize) -> usize {
    (files / 4).saturating_mul(3).clamp(1, most.max(1))
}

/// The soft limit of open files; `None` if unlimited.
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_file_limit_bounds_the_connections() {
        let text = |soft: &str| {
            format!(
                "Limit  Soft Limit  Hard Limit  Units\nMax open files            {soft}                 524288               files\n"
            )
        };
        assert_eq!(soft_limit(&text("1024")), Some(1024));
        assert_eq!(soft_limit(&text("unlimited")), None);
        assert_eq!(soft_limit("Max processes 3 3 processes"), None);
        assert_eq!(
            [20_000, 1_024, 128, 0].map(|files| fitting(768, files)),
            [768, 768, 96, 1]
        );
    }
}
