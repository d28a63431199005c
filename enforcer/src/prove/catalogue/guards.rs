//! Ways to do away with enforcement itself.
#![forbid(unsafe_code)]

use super::Row;
use crate::prove::attacks::{
    Attack,
    Effect::{Answer, Made, Taken},
    guards as a,
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "G1",
        technique: "ending or stopping the daemon",
        hooks: &["task_kill"],
        open: &[],
        tests: &[
            "takeover::sessions_stay_held_while_no_daemon_lives_and_the_next_one_has_all_of_it",
            "takeover::a_daemon_that_is_told_to_stop_writes_everything_and_opens_nothing",
        ],
        attacks: &[Attack::new(
            "g01-signal",
            "a signal to the daemon",
            Answer,
            a::signals_daemon,
        )],
    },
    Row {
        id: "G2",
        technique: "bpf(2) and perf: opening maps, programs and links",
        hooks: &["bpf", "perf_event_open", "capable"],
        open: &[],
        tests: &["mediation::g02_x13_nothing_gets_into_the_kernel_and_no_map_is_opened_by_id"],
        attacks: &[
            Attack::new("g02-list", "listing maps", Answer, a::lists_maps),
            Attack::new("g02-map", "opening a map by its id", Answer, a::opens_map),
            Attack::new("g02-pin", "opening a pinned map", Answer, a::opens_pin),
            Attack::new(
                "g02-perf",
                "perf_event_open(2)",
                Answer,
                a::opens_perf_event,
            ),
        ],
    },
    Row {
        id: "G3",
        technique: "removing, moving or covering the pins",
        hooks: &[
            "inode_unlink",
            "inode_rmdir",
            "inode_rename",
            "sb_umount",
            "sb_mount",
            "move_mount",
        ],
        open: &[],
        tests: &["mediation::g03_the_pins_stay_where_they_are_in_monitor_mode_too"],
        attacks: &[
            Attack::new(
                "g03-links",
                "removing the folder of links",
                Answer,
                a::removes_pins,
            ),
            Attack::new(
                "g03-folder",
                "removing a folder beside them",
                Taken,
                a::removes_own_folder,
            ),
            Attack::new(
                "g03-unlink",
                "removing an entry beside them",
                Taken,
                a::removes_own_link,
            ),
            Attack::new(
                "g03-rename",
                "moving an entry beside them",
                Taken,
                a::moves_own_link,
            ),
            Attack::new("g03-unmount", "unmounting bpffs", Answer, a::unmounts_pins),
        ],
    },
    Row {
        id: "G4",
        technique: "the control socket, and the enforcer's files",
        hooks: &[
            "unix_stream_connect",
            "file_open",
            "path_truncate",
            "inode_create",
            "inode_symlink",
            "inode_unlink",
            "inode_rename",
            "file_lock",
        ],
        open: &[],
        tests: &[
            "unix_sockets::a_session_does_not_reach_the_control_socket",
            "unix_sockets::a_session_in_monitor_mode_is_refused_everything_on_the_control_socket",
            "files::g04_the_enforcers_own_files_are_out_of_reach_in_monitor_mode_too",
        ],
        attacks: &[
            Attack::new("g04-ask", "asking the daemon", Answer, a::asks_daemon),
            Attack::new("g04-log", "a file in the log's folder", Made, a::makes_log),
            Attack::new(
                "g04-log-link",
                "a link in the log's folder",
                Made,
                a::links_into_log,
            ),
            Attack::new(
                "g04-state",
                "a file among the accepted policies",
                Made,
                a::makes_state,
            ),
            Attack::new(
                "g04-run",
                "a file beside the control socket",
                Made,
                a::makes_run_file,
            ),
            Attack::new(
                "g04-policy",
                "a file among the administrator's",
                Made,
                a::makes_policy,
            ),
        ],
    },
    Row {
        id: "G5",
        technique: "a flood of events that hides one",
        hooks: &["task_alloc"],
        open: &[],
        tests: &[
            "audit::a_full_ring_stops_who_needs_evidence_and_nobody_else_and_the_gap_is_told_exactly",
            "audit::with_their_ring_full_denials_are_still_denied_and_counted",
        ],
        attacks: &[],
    },
    Row {
        id: "G6",
        technique: "being there before the daemon is",
        hooks: &["bprm_creds_for_exec", "socket_connect"],
        open: &[],
        tests: &[
            "enrol::a_process_that_was_in_the_slice_before_is_held_to_what_it_runs",
            "takeover::a_session_that_was_granted_begins_although_the_daemon_died_before_its_exec",
        ],
        attacks: &[],
    },
    Row {
        id: "G7",
        technique: "an identity that means another file by now",
        hooks: &["bprm_check_security", "mmap_file", "capable"],
        open: &[],
        tests: &[
            "exec::a_file_that_changed_in_place_does_not_run_until_the_policy_is_applied_again",
            "unix_sockets::another_socket_at_the_same_path_is_denied_until_the_policy_is_applied_again",
            "mediation::n19_g07_capabilities_that_change_what_a_rule_means_are_withheld",
        ],
        attacks: &[],
    },
    Row {
        id: "G8",
        technique: "programs that are not attached although the daemon runs",
        hooks: &[],
        open: &[],
        tests: &[
            "doctor::enforcing_is_said_only_of_a_denied_canary",
            "prove_hole::an_attack_whose_program_is_not_attached_is_shown_as_open",
        ],
        attacks: &[],
    },
    Row {
        id: "G9",
        technique: "a kernel whose lockdown keeps programs from reading",
        hooks: &[],
        open: &[],
        tests: &["host::each_lack_fails_its_own_check_and_no_other"],
        attacks: &[],
    },
    Row {
        id: "G10",
        technique: "two decisions at once on one processor",
        hooks: &[],
        open: &[],
        tests: &[
            "swap::under_a_connect_loop_every_verdict_is_that_of_one_whole_generation",
            "equivalence::the_kernel_decides_as_judge_means",
        ],
        attacks: &[],
    },
];
