//! The contract of the queue, which every backend must fulfil.
//!
//! A promise is an `async fn(&mut QueueFixture)` in one of the modules below. [`contract`] turns each
//! into a test of one backend and then asserts that deliveries are conserved. A further backend needs
//! a [`fixture::QueueFixture`] that opens it, and one line: `always!`.

mod clock;
mod copies;
mod damage;
mod drain;
pub(crate) mod fixture;
mod idempotency;
mod leases;
mod limits;
mod lists;
mod load;
mod model;
mod pictures;
mod plans;
mod retention;
mod sqlite;
mod states;
mod survival;
mod together;
mod weeks;

macro_rules! contract {
    ($store:ident, $open:expr, $($module:ident :: $promise:ident,)+) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let Some(mut fixture) = $open.await else {
                        return;
                    };
                    super::$module::$promise(&mut fixture).await;
                    fixture.assert_conserved().await;
                }
            )+
        }
    };
}

/// What holds wherever the queue is kept.
macro_rules! always {
    ($store:ident, $open:expr, $($more:tt)*) => {
        contract! {
            $store, $open,
            states::delivery_goes_from_queued_to_sending_to_sent,
            states::attempt_counts_unless_the_outcome_excludes_it,
            states::dead_delivery_keeps_its_reason,
            states::suppressed_delivery_is_recorded_and_never_claimed,
            states::only_queued_deliveries_can_be_cancelled,
            states::only_queued_dead_and_cancelled_deliveries_can_be_retried,
            states::operator_retry_restarts_attempts_and_keeps_the_history,
            states::server_that_may_have_the_mail_is_recorded,
            states::recipients_of_one_event_are_independent,
            leases::delivery_is_not_claimed_before_it_is_due,
            leases::stale_token_records_its_attempts_and_changes_no_state,
            leases::late_settlement_counts_until_the_next_claim,
            leases::expired_lease_is_reclaimed_and_its_attempt_counts,
            leases::urgent_lane_is_first_and_has_reserved_slots,
            leases::each_lane_is_first_in_first_out,
            leases::pending_claim_gets_what_a_commit_brings,
            leases::pending_claim_is_tried_again_at_the_next_due_time,
            leases::claim_made_before_the_last_answer_was_seen_gets_nothing,
            leases::stopped_claimer_returns_unseen_leases_and_claims_no_more,
            leases::second_claimer_replaces_the_claim_of_the_first,
            leases::claimer_renews_its_leases_until_they_are_dropped,
            leases::claimer_renews_an_expired_lease_that_it_still_holds,
            leases::oldest_due_delivery_of_each_lane_is_reported,
            leases::settlements_are_answered_one_by_one,
            idempotency::same_id_with_the_same_content_is_a_duplicate,
            idempotency::same_id_with_other_content_is_a_conflict,
            idempotency::excluded_event_on_record_refuses_the_other_end,
            idempotency::key_with_the_same_group_returns_the_first_ids,
            idempotency::key_with_another_group_is_a_conflict,
            idempotency::key_of_a_known_event_is_stored,
            idempotency::key_of_a_refused_group_stays_free,
            idempotency::key_is_free_once_the_last_event_of_its_request_is_purged,
            idempotency::full_queue_still_recognises_keys,
            idempotency::repetitions_within_a_group_are_duplicates,
            idempotency::group_with_a_conflict_is_refused_as_a_whole,
            idempotency::full_queue_refuses_events_but_recognises_repetitions,
            idempotency::suppressed_deliveries_do_not_fill_the_queue,
            idempotency::empty_group_changes_nothing,
            lists::event_is_found_with_its_deliveries_in_order,
            lists::unknown_records_are_not_found,
            lists::pages_are_newest_first_and_do_not_shift,
            lists::list_filters_by_state_address_and_time,
            lists::unknown_cursor_is_refused,
            lists::delivery_serialises_as_the_contract_says,
            lists::purge_removes_only_what_ended_long_ago,
            lists::purge_finds_ended_rows_behind_many_pending_ones,
            lists::purge_respects_its_limit,
            lists::purged_id_can_be_used_again,
            pictures::mails_wait_for_their_thumbnails,
            pictures::mails_without_thumbnails_in_time_are_sent_without_them,
            pictures::mail_without_images_has_no_thumbnails,
            pictures::thumbnail_job_is_held_by_one_claim,
            pictures::cancelled_delivery_stays_cancelled,
            pictures::purge_removes_thumbnails_with_their_event,
            pictures::removed_payload_removes_its_thumbnails,
            pictures::thumbnail_deadline_ignores_clock_steps,
            load::concurrent_tasks_lose_and_duplicate_nothing,
            load::large_group_is_stored,
            retention::payload_is_removed_after_its_last_delivery_and_records_stay,
            retention::payload_of_a_pending_event_is_removed_by_a_later_search,
            retention::payloads_are_removed_in_batches,
            retention::redacted_delivery_cannot_be_retried_but_repetitions_are_known,
            clock::clock_step_neither_expires_nor_delays_deliveries,
            clock::records_show_wall_time_after_a_clock_step,
            model::random_verbs_match_the_model,
            $($more)*
        }
    };
}

always! { sqlite_in_memory, async { Some(super::fixture::QueueFixture::in_memory()) }, }

always! {
    postgres, super::fixture::QueueFixture::postgres(),
    survival::acknowledged_events_survive_a_crash,
    pictures::thumbnail_jobs_survive_a_crash,
    pictures::thumbnail_jobs_held_at_a_crash_are_dropped,
    survival::start_recovers_all_leases,
    survival::deliveries_in_flight_at_a_crash_are_uncertain,
    survival::mail_that_crashes_rendering_is_dead_after_three_crashes,
    survival::settlement_from_before_a_crash_is_stale_after_a_new_claim,
    survival::closed_queue_refuses_and_can_be_reopened,
    survival::counts_survive_a_restart_without_counting_rows,
}

always! {
    sqlite_on_disk, async { Some(super::fixture::QueueFixture::on_disk()) },
    survival::acknowledged_events_survive_a_crash,
    pictures::thumbnail_jobs_survive_a_crash,
    pictures::thumbnail_jobs_held_at_a_crash_are_dropped,
    survival::start_recovers_all_leases,
    survival::send_history_survives_a_crash_and_counts_mails_in_flight,
    survival::deliveries_in_flight_at_a_crash_are_uncertain,
    survival::mail_that_crashes_rendering_is_dead_after_three_crashes,
    survival::settlement_from_before_a_crash_is_stale_after_a_new_claim,
    survival::closed_queue_refuses_and_can_be_reopened,
    survival::counts_survive_a_restart_without_counting_rows,
    survival::opening_a_queue_read_only_keeps_its_leases,
    clock::clock_step_while_stopped_is_detected_at_start,
    clock::start_after_a_boot_continues_from_the_last_commit,
    clock::boot_with_an_unset_clock_expires_nothing_at_the_next_boot,
    clock::times_of_an_earlier_version_stay_right,
    clock::random_clock_steps_neither_expire_nor_delay,
    retention::database_stays_as_large_as_its_retention,
}
