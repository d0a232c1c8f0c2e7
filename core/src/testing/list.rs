//! All scenarios, by the noun that they are about.

/// Re-exports them, and makes the macro that makes their tests. One that is not listed is dead code,
/// of which the compiler warns.
macro_rules! list {
    ($dollar:tt $($noun:ident { $($name:ident)* })*) => {
        /// The scenarios, each a test that panics if the poller, or the loop on it, breaks a promise.
        pub mod scenarios {
            $(
                /// What its scenarios are about.
                pub mod $noun {
                    pub use crate::event_loop::scenarios::$noun::{$($name),*};
                }
            )*
        }

        /// Makes a test of every scenario for one poller, which is [`Fresh`](crate::testing::Fresh).
        /// One poller in a test program: some install signal handlers, which belong to the process.
        #[macro_export]
        #[doc(hidden)]
        macro_rules! __poller_scenarios {
            ($dollar poller:ty) => { $($(
                #[test]
                fn $name() {
                    $dollar crate::testing::scenarios::$noun::$name::<$dollar poller>();
                }
            )*)* };
        }

        pub use __poller_scenarios as poller_scenarios;
    };
}

list! { $
    pollers {
        level_triggered_for_what_it_is_asked
        u1_a_wait_is_never_shorter_than_asked
        long_and_endless_waits_are_accepted_and_end_when_something_is_ready
        a_long_wait_does_not_come_back_at_once
        hang_up_reaches_the_owner_whatever_he_asked_for
        an_error_reaches_the_owner
        what_is_removed_while_results_are_read_reports_nothing_more
        adding_and_removing_needs_no_wait_between
        a_signal_during_the_wait_is_no_error
    }
    sources {
        one_that_is_removed_and_its_slot_reused_reports_nothing_in_this_turn
        a_number_that_is_closed_and_opened_again_in_the_same_turn_is_another_descriptor
        its_own_removal_and_other_interests_from_its_callback
        an_interest_that_is_changed_counts_from_the_next_turn
        slots_are_bounded
        a_panic_in_a_callback_leaves_the_others_to_the_next_turn
    }
    timers {
        the_wait_is_until_the_earliest_deadline_and_no_timer_is_early
        without_a_timer_the_wait_has_no_end
        a_wait_that_ends_early_fires_nothing
        u2_equal_deadlines_fire_first_in_first_out
        a_timer_that_arms_itself_again_starves_nobody
        u3_stop_in_a_timer_ends_the_loop_without_another_wait
        a_panic_in_a_timer_leaves_the_others_due
        only_timers_that_wake_the_machine_count_for_the_alarm
    }
    attached {
        a2_a_request_that_posts_itself_again_runs_next_turn_and_starves_no_timer
        a_request_may_add_a_descriptor_and_end_the_loop
        raised_flags_are_handed_out_once
        a_queue_serves_one_loop
    }
    states {
        s3_another_thread_releases_a_hold_and_the_walk_goes_on_by_itself
        parked_requests_run_after_the_last_entered_notice
        s5_a_helper_that_is_not_used_blocks_no_state
        a_long_walk_goes_on_next_turn_without_a_wait
        s6_shutdown_announces_destroying_alone_and_tells_every_request
        a_notifier_that_puts_another_in_its_place_for_ever_keeps_no_shutdown_away
        a_request_from_any_thread_may_end_the_context
        a_panic_in_a_notifier_leaves_the_walk_whole
        notifiers_come_and_go_from_every_callback
        s4_a_hold_during_the_start_is_kept_and_nothing_goes_back
        s7_a_captive_portal_holds_its_state_and_the_time_comes_after_it
    }
    several_loops {
        tsi_the_leader_sets_the_state_for_all_and_a_post_wakes_only_its_loop
    }
    threads {
        other_threads_wake_a_loop_that_sleeps_until_one_of_them_stops_it
        u1_short_timers_are_neither_early_nor_rounded_up_and_nothing_spins
        descriptors_come_and_go_from_callbacks
        a_peer_that_hangs_up_reaches_the_owner
        a_signal_handler_raises_a_flag_and_ends_the_wait
    }
}
