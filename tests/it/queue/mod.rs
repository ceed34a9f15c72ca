//! The queue's contract, written once for every database that may stand under it.
//!
//! A promise is an `async fn(&mut Bench)` in one of the modules below. [`contract`] makes a test of
//! each for one store, and ends each by asserting that every accepted delivery is still accounted
//! for. To put another database under it: a [`bench::Bench`] that opens it, and one more
//! `contract!`.

pub(crate) mod bench;
mod clock;
mod copies;
mod damage;
mod idempotency;
mod leases;
mod lists;
mod load;
mod model;
mod pictures;
mod retention;
mod sqlite;
mod states;
mod survival;

macro_rules! contract {
    ($store:ident, $open:expr, $($module:ident :: $promise:ident,)+) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let mut bench = $open;
                    super::$module::$promise(&mut bench).await;
                    bench.assert_conserved().await;
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
            states::a_delivery_goes_from_queued_over_sending_to_sent,
            states::an_attempt_counts_unless_the_verdict_says_otherwise,
            states::a_dead_delivery_keeps_its_reason,
            states::a_suppressed_delivery_is_on_record_and_never_claimed,
            states::only_a_queued_delivery_can_be_cancelled,
            states::only_what_waits_or_ended_without_a_mail_can_be_retried,
            states::a_retry_by_hand_begins_at_attempt_one_and_keeps_the_history,
            states::the_server_that_may_have_the_mail_is_remembered,
            states::each_recipient_has_a_fate_of_its_own,
            leases::nothing_is_claimed_before_it_is_due,
            leases::stale_token_records_its_attempts_and_changes_no_state,
            leases::leases_of_one_event_share_its_parsed_form,
            leases::a_late_settlement_counts_while_nobody_else_has_claimed,
            leases::a_lease_that_ran_out_is_claimed_again_and_the_attempt_counts,
            leases::urgent_goes_first_and_has_slots_of_its_own,
            leases::first_in_is_first_out_within_a_lane,
            leases::a_claim_that_finds_nothing_stays_and_gets_what_comes_in,
            leases::one_claim_stands_at_a_time_and_a_later_one_ends_it_with_nothing,
            leases::the_next_due_time_is_that_of_the_earliest_or_of_a_lease,
            leases::the_oldest_due_delivery_of_each_lane_is_known,
            leases::a_wake_up_is_not_lost_while_nobody_waits,
            leases::a_settlement_is_answered_one_by_one,
            idempotency::the_same_id_with_the_same_content_is_a_duplicate,
            idempotency::the_same_id_with_other_content_is_a_conflict,
            idempotency::a_key_with_the_same_group_leads_to_the_first_ids,
            idempotency::a_key_with_any_other_group_is_a_conflict,
            idempotency::a_key_that_comes_with_a_known_event_is_remembered,
            idempotency::a_key_of_a_refused_group_is_free,
            idempotency::a_key_is_free_again_when_the_last_event_of_its_request_is_purged,
            idempotency::a_full_queue_still_knows_keys,
            idempotency::repetitions_within_a_group_are_noticed,
            idempotency::a_group_with_a_conflict_is_not_taken_at_all,
            idempotency::a_full_queue_takes_nothing_but_still_knows_repetitions,
            idempotency::suppressed_deliveries_do_not_fill_the_queue,
            idempotency::an_empty_group_changes_nothing,
            lists::an_event_is_found_with_its_deliveries_in_order,
            lists::what_is_not_on_record_is_not_found,
            lists::pages_come_newest_first_and_do_not_shift,
            lists::a_list_is_narrowed_by_state_address_and_time,
            lists::a_strange_cursor_is_refused,
            lists::a_delivery_reads_as_the_contract_says,
            lists::a_purge_takes_what_ended_long_ago_and_nothing_else,
            lists::a_purge_finds_what_ended_behind_much_that_waits,
            lists::a_purge_keeps_to_its_limit,
            lists::a_purged_id_may_come_again,
            pictures::mails_wait_for_their_pictures_and_go_when_they_are_there,
            pictures::mails_whose_pictures_do_not_come_go_by_themselves_and_stay_without,
            pictures::a_mail_without_pictures_knows_of_none,
            pictures::what_was_taken_back_meanwhile_stays_taken_back,
            pictures::a_purge_takes_the_pictures_with_their_event,
            pictures::a_removed_payload_takes_its_pictures_with_it,
            pictures::a_wait_for_pictures_moves_along_with_a_clock_that_was_set,
            load::many_tasks_at_once_lose_and_double_nothing,
            load::one_group_may_be_large,
            retention::a_payload_goes_when_all_its_deliveries_ended_long_enough_ago_and_the_facts_stay,
            retention::a_payload_that_was_passed_while_a_delivery_waited_is_found_by_a_new_search,
            retention::payloads_go_in_batches,
            retention::without_its_payload_a_delivery_cannot_be_retried_but_a_repetition_is_known,
            clock::what_waits_moves_along_with_a_clock_that_was_set,
            model::any_sequence_of_verbs_does_what_the_model_does,
            $($more)*
        }
    };
}

always! { sqlite_in_memory, super::bench::Bench::in_memory(), }

always! {
    sqlite_on_disk, super::bench::Bench::on_disk(),
    survival::what_was_acknowledged_is_there_after_a_crash,
    pictures::what_waited_for_pictures_at_a_crash_waits_on,
    survival::a_start_takes_all_leases_back,
    survival::what_servers_were_given_is_remembered_and_what_was_under_way_counts_for_all,
    survival::what_was_under_way_at_a_crash_rests_as_after_an_uncertain_attempt,
    survival::a_mail_that_kills_the_process_while_it_is_made_is_given_up_after_three_times,
    survival::a_settlement_from_before_the_crash_is_stale_once_claimed_again,
    survival::a_closed_queue_refuses_and_can_be_opened_again,
    survival::the_numbers_survive_without_counting,
    survival::looking_at_a_queue_leaves_leases_alone,
    clock::what_a_clock_that_was_set_back_has_put_off_is_brought_back_by_a_start,
    retention::a_week_of_traffic_leaves_the_store_as_large_as_its_retention,
}
