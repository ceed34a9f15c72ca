//! Tasks by name. One that ends unasked takes the daemon down with a failing exit code, so that
//! systemd starts it anew.

use std::future::Future;

use tokio::task::{Id, JoinSet};

/// The daemon's long-lived tasks.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<()>,
    names: Vec<(Id, &'static str)>,
}

/// A task that ended though nobody had asked it to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task \"{name}\" {how}")]
pub struct TaskEnded {
    /// Which.
    pub name: &'static str,
    /// Whether it returned or broke down.
    pub how: &'static str,
}

impl Tasks {
    /// Starts a task.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.set.spawn(task);
        self.names.push((handle.id(), name));
    }

    /// Waits until a task ends; never returns while there is none.
    pub async fn ended(&mut self) -> TaskEnded {
        match self.set.join_next_with_id().await {
            Some(Ok((id, ()))) => TaskEnded {
                name: self.name(id),
                how: "ended unasked",
            },
            Some(Err(error)) => TaskEnded {
                name: self.name(error.id()),
                how: "broke down",
            },
            None => std::future::pending().await,
        }
    }

    /// Waits until all have ended; returns those that broke down.
    pub async fn finish(&mut self) -> Vec<TaskEnded> {
        let mut broken = Vec::new();
        while let Some(end) = self.set.join_next_with_id().await {
            if let Err(error) = end {
                broken.push(TaskEnded {
                    name: self.name(error.id()),
                    how: "broke down",
                });
            }
        }
        broken
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
    async fn a_task_that_ends_or_breaks_down_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("patient", std::future::pending());
        tasks.spawn("hasty", async {});
        assert_eq!(
            tasks.ended().await.to_string(),
            "the task \"hasty\" ended unasked"
        );
        tasks.spawn("clumsy", async { panic!("on purpose") });
        assert_eq!(
            tasks.ended().await,
            TaskEnded {
                name: "clumsy",
                how: "broke down"
            }
        );
    }
}
