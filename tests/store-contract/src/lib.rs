//! What every store must do, whatever database it stands on: each promise of the port, and each race that could break one.
//!
//! [`contract_suite!`] makes a test of each check; every one gets a store of its own, and knows the ports only.
//!
//! ```ignore
//! landlord_store_contract::contract_suite!(crate::sqlite::fresh);
//! ```
#![allow(clippy::unwrap_used, reason = "part of tests, which fail by panicking")]
#![allow(clippy::missing_panics_doc, reason = "part of tests, which fail by panicking")]
#![allow(missing_docs, reason = "a check's name is the promise that it holds a store to")]

pub mod accepting;
pub mod auditing;
pub mod availability;
pub mod certificates;
pub mod claiming;
pub mod committing;
pub mod credentials;
pub mod customers;
pub mod daemons;
pub mod domains;
pub mod ending;
pub mod fixtures;
pub mod history;
pub mod hosting;
pub mod orphans;
pub mod pooler;
pub mod postgres;
pub mod proxy;
pub mod reading;
pub mod revisions;
pub mod webhooks;

/// Runs every check against stores from `$fresh`: `async fn() -> (Arc<impl Store>, impl Any)`,
/// of which the second is kept until the check is over.
#[macro_export]
macro_rules! contract_suite {
    ($fresh:path) => {
        $crate::contract_suite! { $fresh;
            accepting: a_create_is_pending_with_operation_and_event;
            accepting: a_replay_returns_what_the_first_made;
            accepting: a_request_id_belongs_to_one_request_of_one_customer;
            accepting: fifty_at_once_make_one_tenant;
            accepting: a_taken_name_is_refused;
            accepting: a_removed_name_can_be_used_again;
            accepting: an_update_raises_the_generation_and_supersedes;
            accepting: an_update_of_the_record_only_ends_at_once;
            accepting: pausing_what_is_ready_leaves_it_ready;
            accepting: pausing_and_going_on_take_over_what_is_unfinished;
            accepting: an_update_of_the_record_supersedes_nothing;
            accepting: an_update_of_the_record_keeps_the_offer;
            accepting: an_old_etag_changes_nothing;
            accepting: updates_at_once_with_one_etag_let_one_through;
            accepting: what_the_engine_records_is_no_other_order;
            auditing: every_change_is_recorded_with_who_and_what;
            auditing: what_is_refused_or_repeated_is_no_change;
            auditing: the_engines_work_names_whose_request_it_is;
            auditing: records_at_once_are_one_chain;
            auditing: heads_are_signed_as_the_log_grows;
            auditing: what_is_undone_is_signed_by_no_head;
            auditing: what_is_pruned_is_recorded;
            availability: one_daemon_looks_until_it_gives_the_duty_back;
            availability: who_was_ready_is_looked_at_and_nobody_else;
            availability: what_is_seen_is_kept_by_who_has_the_duty;
            availability: what_its_checks_showed_is_what_it_fails_at;
            availability: who_is_lost_is_resynced_at_once_but_for_who_is_left_as_it_is;
            certificates: certificates_ordered_at_once_never_exceed_a_limit;
            certificates: a_certificates_place_is_taken_once_and_for_its_time;
            certificates: certificates_of_who_is_gone_still_count_and_a_lost_claim_takes_no_place;
            customers: a_customer_is_made_changed_and_forgotten;
            customers: an_order_is_held_to_the_contract_with_all_violations;
            customers: orders_at_once_never_exceed_a_limit;
            customers: a_customer_that_orders_is_known_or_refused;
            customers: tenants_of_a_suspended_customer_are_left_as_they_are;
            customers: of_a_suspended_customer_more_can_be_kept_and_nothing_changed;
            domains: a_domain_belongs_to_one_tenant;
            domains: what_is_refused_names_no_other_customer;
            domains: a_domain_is_free_when_its_record_is_gone;
            domains: creates_at_once_let_one_have_a_domain;
            domains: a_replay_and_a_host_cluster_take_no_domain;
            ending: a_retry_needs_a_failed_tenant;
            ending: a_retry_starts_failed_stages_again;
            ending: a_retry_of_a_failed_unwinding_shows_the_removal;
            ending: protection_holds_against_force;
            ending: what_unwinds_can_be_deleted_though_protected;
            ending: a_delete_supersedes_and_is_final;
            ending: deleting_twice_is_one_operation;
            ending: a_failed_delete_begins_again;
            ending: what_is_unknown_is_not_found;
            ending: a_cancel_reaches_the_engine_once;
            ending: a_delete_cannot_be_cancelled;
            history: ended_operations_are_forgotten_in_time;
            orphans: an_orphan_becomes_one_tenants;
            orphans: an_orphan_is_removed_as_a_tenant_is;
            orphans: an_orphan_in_a_host_cluster_is_removed_there;
            orphans: a_namespace_without_a_record_is_listed_until_it_is_gone;
            reading: tenants_in_pages_each_once;
            reading: tenants_by_filter;
            reading: operations_in_pages_newest_first;
            reading: operations_by_filter;
            reading: foreign_page_tokens_are_refused;
            reading: an_operation_shows_live_stages_then_those_at_its_end;
            reading: events_resume_without_gap_or_repeat;
            reading: events_by_customer_and_tenant;
            reading: who_waits_for_events_is_notified_of_its_own;
            reading: readers_that_stop_reading_hold_up_nobody;
            claiming: deletes_before_changes_before_resyncs;
            claiming: customers_take_turns;
            claiming: owners_never_share_a_tenant;
            claiming: an_account_is_worked_on_by_one_owner;
            claiming: an_account_is_taken_over_with_the_time_it_was_left_alone;
            claiming: nothing_is_due_later_than_anything_waits;
            claiming: a_lease_keeps_others_out_until_it_is_over;
            claiming: a_lost_claim_writes_nothing;
            claiming: a_claim_given_back_writes_nothing;
            claiming: recovered_leases_are_due_and_their_claims_void;
            claiming: next_due_follows_what_is_due;
            claiming: changes_during_a_lease_wait_for_its_end;
            committing: a_record_comes_back_as_it_was;
            committing: a_change_during_a_pass_is_kept_and_due_at_once;
            committing: an_overtaken_pass_reports_its_stages_only;
            committing: an_overtaken_removal_removes_nothing;
            committing: a_revert_is_a_new_generation;
            committing: an_unwinding_turns_the_tenant;
            committing: an_ended_operation_stays_as_it_ended;
            committing: a_refused_commit_writes_nothing;
            committing: the_etag_follows_what_a_client_can_see;
            credentials: a_credential_is_given_as_its_class_says;
            credentials: nobody_reads_what_is_rotated_meanwhile;
            revisions: revisions_are_kept_for_who_names_them;
            revisions: a_host_cluster_names_what_it_runs_and_goes_back_to;
            daemons: a_duty_is_one_daemons_until_it_is_given_back;
            daemons: daemons_are_known_with_their_leases_until_they_leave;
            daemons: leases_of_a_daemon_that_leaves_are_free_at_once;
            daemons: what_is_counted_is_what_is_there;
            daemons: who_waits_for_a_certificate_is_counted_and_is_no_operation_that_hangs;
            hosting: a_host_cluster_is_work_like_a_tenant_and_no_tenant;
            hosting: a_host_cluster_and_a_tenant_may_share_an_id;
            hosting: host_clusters_in_pages_each_once;
            hosting: creates_at_once_never_overfill;
            hosting: a_customers_tenants_are_spread_and_take_their_hosts_account;
            hosting: a_cordoned_host_cluster_takes_nobody;
            hosting: a_host_cluster_in_use_stays;
            hosting: a_host_cluster_that_is_leaving_takes_nobody;
            hosting: a_tenant_that_goes_makes_room;
            hosting: a_full_fleet_grows_once_for_those_who_wait;
            hosting: a_tenants_work_shows_its_host_cluster;
            hosting: what_is_promised_is_gone_until_the_record_is;
            hosting: creates_at_once_never_promise_what_is_not_there;
            hosting: a_placement_has_the_host_cluster_inspected;
            webhooks: a_webhook_is_delivered_by_one_daemon;
            webhooks: a_webhook_goes_on_where_it_was;
            webhooks: a_replay_ends_the_claim_and_what_waits;
            webhooks: a_replay_skips_nothing;
        }
    };
    ($fresh:path; $($module:ident: $check:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let (store, _kept) = $fresh().await;
                $crate::$module::$check(store).await;
            }
        )*
    };
}
