//! Ways out of the session, and to other processes.
#![forbid(unsafe_code)]

use super::{Open, Row};
use crate::prove::attacks::{
    Attack,
    Effect::{Answer, Arrived, Victim},
    execution, network, processes as a,
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "I1",
        technique: "forks, threads, daemons",
        hooks: &["task_alloc", "task_free"],
        open: &[],
        tests: &[
            "lineage::every_kind_of_descendant_is_in_the_session",
            "exec::every_kind_of_descendant_is_held_to_the_executables",
            "stress::i01_in_a_storm_of_forks_no_child_is_without_its_label",
        ],
        attacks: &[
            Attack::new(
                "i01-thread",
                "connecting in a thread",
                Arrived,
                a::by_thread,
            ),
            Attack::new("i01-fork", "connecting in a child", Arrived, a::by_fork),
            Attack::new(
                "i01-daemon",
                "connecting after setsid and two forks",
                Arrived,
                a::by_daemon,
            ),
        ],
    },
    Row {
        id: "I2",
        technique: "worker threads of io_uring",
        hooks: &["task_alloc"],
        open: &[],
        tests: &["opened::i07_no_ring_is_made_and_where_one_may_be_it_passes_no_rule_by"],
        attacks: &[
            Attack::new(
                "i02-worker",
                "connecting by a worker",
                Arrived,
                network::connect_by_worker,
            ),
            Attack::new(
                "i02-poller",
                "connecting by a polling thread",
                Arrived,
                network::connect_by_poller,
            ),
            Attack::new(
                "i02-inherited",
                "a worker that sends by an inherited connection",
                Arrived,
                network::send_by_worker,
            ),
        ],
    },
    Row {
        id: "I3",
        technique: "leaving the control group or the namespaces",
        hooks: &["task_alloc", "file_open"],
        open: &[],
        tests: &[
            "lineage::every_kind_of_descendant_is_in_the_session",
            "enrol::what_a_process_of_the_slice_executes_first_begins_a_session",
            "enrol::i03_a_container_of_the_slice_is_a_session_wherever_its_root_is",
        ],
        attacks: &[
            Attack::new(
                "i03-cgroup",
                "moving to the root control group",
                Answer,
                a::leaves_cgroup,
            ),
            Attack::new(
                "i03-namespaces",
                "connecting from other namespaces",
                Arrived,
                a::by_namespaces,
            ),
        ],
    },
    Row {
        id: "I4",
        technique: "a label that the kernel does not find",
        hooks: &["task_alloc"],
        open: &[],
        tests: &[
            "enrol::however_many_begin_at_once_none_runs_outside",
            "stress::with_its_table_of_labels_full_a_fork_is_denied_and_nothing_else_breaks",
        ],
        attacks: &[],
    },
    Row {
        id: "I5",
        technique: "reading, writing and tracing processes outside",
        hooks: &["ptrace_access_check", "ptrace_traceme", "file_open"],
        open: &[],
        tests: &[
            "mediation::i05_i10_a_process_outside_is_not_read_written_traced_or_signalled_and_an_own_child_is",
            "others::i05_what_procfs_lets_everybody_change_of_a_process_outside_stays",
        ],
        attacks: &[
            Attack::new("i05-trace", "tracing it", Answer, a::traces),
            Attack::new("i05-read", "process_vm_readv", Answer, a::reads_memory),
            Attack::new("i05-write", "process_vm_writev", Victim, a::writes_memory),
            Attack::new(
                "i05-memory",
                "writing to its /proc/PID/mem",
                Victim,
                a::writes_proc_memory,
            ),
            Attack::new(
                "i05-environment",
                "reading its environment",
                Answer,
                a::reads_environment,
            ),
            Attack::new(
                "i05-descriptor",
                "taking a descriptor of its",
                Answer,
                a::takes_descriptor,
            ),
            Attack::new(
                "i05-own",
                "tracing a process of the same session",
                Answer,
                a::traces_own,
            )
            .open(Open::check("open-own-trace")),
        ],
    },
    Row {
        id: "I6",
        technique: "writing to one's own code by /proc/self/mem",
        hooks: &["file_open"],
        open: &[],
        tests: &["code::x06_i06_memory_that_no_file_stands_behind_is_not_executable"],
        attacks: &[Attack::new(
            "i06-own-memory",
            "writing to /proc/self/mem",
            Answer,
            execution::own_memory,
        )],
    },
    Row {
        id: "I7",
        technique: "io_uring instead of system calls",
        hooks: &[
            "inode_init_security_anon",
            "uring_cmd",
            "socket_connect",
            "socket_sendmsg",
            "file_open",
        ],
        open: &[],
        tests: &["opened::i07_no_ring_is_made_and_where_one_may_be_it_passes_no_rule_by"],
        attacks: &[Attack::new(
            "i07-ring",
            "connecting by io_uring",
            Arrived,
            network::connect_by_ring,
        )],
    },
    Row {
        id: "I8",
        technique: "typing into a terminal that is shared with somebody",
        hooks: &["file_ioctl", "file_ioctl_compat", "capable"],
        open: &[],
        tests: &[
            "others::i08_nothing_is_typed_into_a_terminal",
            "others::i08_a_terminal_of_its_own_works",
        ],
        attacks: &[Attack::new(
            "i08-terminal",
            "TIOCSTI",
            Answer,
            a::types_into_terminal,
        )],
    },
    Row {
        id: "I9",
        technique: "system calls of 32-bit programs",
        hooks: &["socket_connect"],
        open: &[],
        tests: &[],
        attacks: &[Attack::new(
            "i09-32-bit",
            "connect by int 0x80",
            Arrived,
            network::as_32_bit,
        )],
    },
    Row {
        id: "I10",
        technique: "signals to processes outside",
        hooks: &["task_kill", "file_fcntl", "file_ioctl"],
        open: &[],
        tests: &[
            "mediation::i05_i10_a_process_outside_is_not_read_written_traced_or_signalled_and_an_own_child_is",
            "mediation::i10_asking_whether_a_process_exists_is_no_signal",
            "others::i10_nobody_outside_is_signalled_about_a_file_and_the_process_itself_may_be",
            "others::i10_nobody_is_signalled_about_a_terminal_that_others_use",
        ],
        attacks: &[
            Attack::new("i10-kill", "kill(2)", Victim, a::signals),
            Attack::new(
                "i10-pidfd",
                "pidfd_send_signal(2)",
                Victim,
                a::signals_pidfd,
            ),
            Attack::new("i10-owner", "F_SETOWN", Victim, a::signals_as_owner),
        ],
    },
    Row {
        id: "I11",
        technique: "limits and priorities of processes outside",
        hooks: &[
            "task_setrlimit",
            "task_setscheduler",
            "task_setnice",
            "task_setioprio",
        ],
        open: &[],
        tests: &[
            "others::i10_limits_and_scheduling_of_a_process_outside_stay_and_those_of_an_own_child_change",
        ],
        attacks: &[
            Attack::new("i11-limits", "prlimit(2)", Victim, a::limits),
            Attack::new("i11-class", "sched_setscheduler(2)", Victim, a::schedules),
            Attack::new("i11-priority", "setpriority(2)", Victim, a::slows),
            Attack::new("i11-io-priority", "ioprio_set(2)", Answer, a::slows_io),
        ],
    },
    Row {
        id: "I12",
        technique: "System V shared memory, semaphores and message queues of processes outside",
        hooks: &[],
        open: &[Open::check("open-ipc")],
        tests: &["others::i12_shared_memory_of_others_is_told_as_open"],
        attacks: &[],
    },
];
