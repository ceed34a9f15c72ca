//! Named tasks. If one ends unexpectedly, the daemon stops with a failing exit code, so that systemd
//! restarts it.

use std::future::Future;

use tokio::task::{Id, JoinSet};

/// The daemon's long-lived tasks.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    set: JoinSet<()>,
    names: Vec<(Id, &'static str)>,
}

/// A task ended unexpectedly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task \"{name}\" {how}")]
pub struct TaskEnded {
    /// The name of the task.
    pub name: &'static str,
    /// Whether it returned or panicked.
    pub how: &'static str,
}

impl Tasks {
    /// Starts a task.
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let handle = self.set.spawn(task);
        self.names.push((handle.id(), name));
    }

    /// Waits until a task ends; waits forever if there is none.
    pub(super) async fn ended(&mut self) -> TaskEnded {
        match self.set.join_next_with_id().await {
            Some(Ok((id, ()))) => TaskEnded {
                name: self.name(id),
                how: "ended unexpectedly",
            },
            Some(Err(error)) => TaskEnded {
                name: self.name(error.id()),
                how: "panicked",
            },
            None => std::future::pending().await,
        }
    }

    /// Waits until all tasks have ended; returns those that panicked.
    pub(super) async fn finish(&mut self) -> Vec<TaskEnded> {
        let mut failed = Vec::new();
        while let Some(end) = self.set.join_next_with_id().await {
            if let Err(error) = end {
                failed.push(TaskEnded {
                    name: self.name(error.id()),
                    how: "panicked",
                });
            }
        }
        failed
    }

    fn name(&self, id: Id) -> &'static str {
        self.names
            .iter()
            .find(|(known, _)| *known == id)
            .map_or("unknown", |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn task_that_ends_or_panics_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("patient", std::future::pending());
        tasks.spawn("hasty", async {});
        assert_eq!(
            tasks.ended().await.to_string(),
            "the task \"hasty\" ended unexpectedly"
        );
        tasks.spawn("clumsy", async { panic!("on purpose") });
        assert_eq!(
            tasks.ended().await,
            TaskEnded {
                name: "clumsy",
                how: "panicked"
            }
        );
    }
}
