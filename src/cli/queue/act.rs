//! Retries and cancels deliveries.

use serde_json::Value;

use super::access::{Access, granted};
use super::access_error::AccessError;
use super::show::text;
use crate::domain::{DeliveryId, SuppressReason};
use crate::queue::OperatorError;

impl Access {
    /// Retries or cancels a delivery, or every delivery of an event that allows it.
    pub(super) async fn act(
        &self,
        id: &str,
        verb: &'static str,
    ) -> Result<Vec<Value>, AccessError> {
        if let Some(delivery) = self.delivery(id).await? {
            return Ok(vec![self.act_on(text(&delivery, "id"), verb).await?]);
        }
        let event = self
            .event(id)
            .await?
            .ok_or_else(|| AccessError::Unknown(id.to_owned()))?;
        let deliveries = event
            .get("deliveries")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let (allowed, done): (&[&str], _) = if verb == "cancel" {
            (&["queued"], "cancelled")
        } else {
            (&["queued", "dead", "cancelled"], "retried")
        };
        let (mut changed, mut refused) = (Vec::new(), None);
        for delivery in deliveries
            .iter()
            .filter(|delivery| allowed.contains(&text(delivery, "state")))
        {
            match self.act_on(text(delivery, "id"), verb).await {
                Ok(record) => changed.push(record),
                // It has changed since it was read; the others have not.
                Err(error) if error.is_about_the_delivery() => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        if let (true, Some(error)) = (changed.is_empty(), refused) {
            return Err(error);
        }
        if changed.is_empty() {
            let states = deliveries
                .iter()
                .map(|delivery| format!("{} {}", text(delivery, "id"), text(delivery, "state")))
                .collect::<Vec<_>>()
                .join(", ");
            return Err(AccessError::NoneFits {
                id: id.to_owned(),
                verb: done,
                states,
            });
        }
        Ok(changed)
    }

    async fn act_on(&self, id: &str, verb: &'static str) -> Result<Value, AccessError> {
        let delivery: DeliveryId = id
            .parse()
            .map_err(|_| AccessError::Unknown(id.to_owned()))?;
        match self {
            Self::Daemon(client) => granted(
                client
                    .post(
                        &format!("/v1/deliveries/{delivery}/{verb}"),
                        "application/json",
                        Vec::new(),
                    )
                    .await?,
            ),
            Self::Store { queue, config } => {
                let now = queue.clock().now();
                if verb == "cancel" {
                    return Ok(serde_json::to_value(queue.cancel(delivery, now).await?)?);
                }
                let record = queue
                    .find_delivery(delivery)
                    .await?
                    .ok_or(OperatorError::NotFound)?;
                if !config.routes.allows(&record.to) {
                    queue
                        .suppress(delivery, SuppressReason::NotAllowed, now)
                        .await?;
                    return Err(AccessError::NotAllowed);
                }
                Ok(serde_json::to_value(
                    queue
                        .retry(delivery, now.after(config.routes.expire_after), now)
                        .await?,
                )?)
            }
        }
    }
}
