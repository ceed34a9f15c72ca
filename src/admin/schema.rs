//! OpenAPI schemas of stored records, which the queue defines without knowing HTTP.

use crate::http::openapi::json_schemas;

json_schemas! {
    DeliverySchema as "Delivery" in "delivery.schema.json";
    EventRecordSchema as "EventRecord" in "event_record.schema.json";
    PageSchema as "DeliveryPage" in "page.schema.json";
    StatsSchema as "Stats" in "stats.schema.json";
}
